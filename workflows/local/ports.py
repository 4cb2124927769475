"""Which TCP ports are free, and who has those that are not."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from services.common.errors import Unavailable

_LISTENING = "0A"
_FIRST, _FEWEST, _USUAL = 15_000, 2_000, 32_768


class PortChoice(StrEnum):
    """What `rookery up` does about ports."""

    FIXED = "fixed"
    AUTO = "auto"
    RANDOM = "random"


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether the port can be bound now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int, taken: set[int], host: str = "127.0.0.1") -> list[int]:
    """Different free ports, none of them in `taken`.

    They are below those that the kernel gives to whoever connects, so that nobody is given one by chance before its
    server listens. Source: ip(7), `ip_local_port_range`.

    Raises:
        Unavailable: the machine has too few free ports left.
    """
    found: list[int] = []
    candidates = range(_FIRST, max(_lowest_given(), _FIRST + _FEWEST))
    for port in random.sample(candidates, len(candidates)):
        if len(found) == count:
            break
        if port not in taken and is_free(port, host):
            found.append(port)
    if len(found) < count:
        raise Unavailable("no free port is left", value=f"{candidates.start} to {candidates.stop - 1}")
    return found


def _lowest_given() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL


def owner(port: int) -> tuple[int, str] | None:
    """Pid and command of a process that listens on the port; None when it is another user's or not Linux."""
    inodes = _listeners(port)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (folder / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    return int(folder.name), " ".join(words).strip()[:100]
    return None


def describe_owner(port: int) -> str:
    """The owner in words."""
    found = owner(port)
    return "a process that cannot be named" if found is None else f"process {found[0]} ({found[1]})"


def _listeners(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
