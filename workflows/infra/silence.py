"""A Terraform that hangs is ended: while it works it speaks every ten seconds."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from contextlib import suppress


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills a leader of a session with all providers that it started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Silence:
    """Ends a process of which nothing was heard for longer than a bound.

    Attributes:
        ended: whether it was.
    """

    def __init__(self, bound_seconds: float) -> None:
        self.ended = False
        self._bound = bound_seconds
        self._last = time.monotonic()

    def heard(self) -> None:
        """It said something."""
        self._last = time.monotonic()

    def look(self, process: subprocess.Popen[bytes]) -> float:
        """Ends it if it is time; seconds after which to look again."""
        left = self._last + self._bound - time.monotonic()
        if left <= 0 and not self.ended:
            self.ended = True
            end(process)
        return math.inf if self.ended else left
