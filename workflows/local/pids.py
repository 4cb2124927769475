"""What tells a process from a later one with the same number; imports next to nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def start_time(pid: int) -> str | None:
    """The start time as the system counts it, or None when the process is gone or a zombie.

    Source: proc_pid_stat(5), field 22. The name in field 2 may hold blanks and brackets.
    """
    try:
        fields = _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _by_ps(pid)
    return None if fields[0] in "ZX" else fields[19]


def session_members(leader: int) -> list[int]:
    """The processes of the session that a process began, living ones without it; nothing where /proc is not."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = _fields(int(folder.name))
            if int(fields[3]) == leader != int(folder.name) and fields[0] not in "ZX":
                found.append(int(folder.name))
    return found


def _fields(pid: int) -> list[str]:
    """Of proc_pid_stat(5), from field 3 on."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _by_ps(pid: int) -> str | None:
    import subprocess

    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else " ".join(started.split())
