"""Which commit of the code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def code_revision(given: str = "") -> str:
    """The revision that was given, else git's commit of this checkout with `-dirty` if files differ, else `unknown`."""
    if given:
        return given
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return done.stdout.strip() or UNKNOWN
