"""Which TCP ports are free, and who has those that are not."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from services.common.errors import Unavailable

_LISTENING = "0A"
_WIDTH = 1000


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


def free_ports(count: int, taken: set[int], base: int, host: str = "127.0.0.1") -> list[int]:
    """Different ports out of the thousand from `base` on that are free now, none of them in `taken`.

    Not any that the kernel would give: it may give one to a client before its server listens, and an environment
    without a release keeps a port that nobody listens on.

    Raises:
        Unavailable: too few of them are free.
    """
    found: list[int] = []
    candidates = range(base, min(base + _WIDTH, 65_536))
    for port in random.sample(candidates, len(candidates)):
        if len(found) == count:
            break
        if port not in taken and is_free(port, host):
            found.append(port)
    if len(found) < count:
        raise Unavailable(
            f"no port is free from {base} to {candidates.stop - 1}", allowed="another ROOKERY_PORT_BASE"
        )
    return found


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
