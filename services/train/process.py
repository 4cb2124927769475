"""Processes that outlive the one that started them, told apart from later ones with the same number."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which the process started, or nothing if it is not running.

    Source: proc_pid_stat(5), field 22. The name in field 2 may hold blanks and brackets.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int | None, started: int | None) -> bool:
    """Whether the process with that number is the one that started then."""
    return pid is not None and started is not None and start_time(pid) == started


def send(pid: int, started: int, sign: signal.Signals) -> None:
    """Send a signal to the process group that this process leads, if it is still the same process."""
    if is_alive(pid, started):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, sign)
