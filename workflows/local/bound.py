"""`python bound.py PARENT COMMAND…`: becomes the command, which gets SIGTERM when its parent dies, however that dies.

Run as a file by an interpreter without our packages, so that it costs some milliseconds. Source: prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """The wish outlives exec; a parent that is gone already can no longer be waited for."""
    parent, *command = arguments
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that started this is gone")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
