"""A Terraform that hangs is ended: while it works it speaks every ten seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


def end(process: subprocess.Popen[str]) -> None:
    """Kills a leader of a session with all providers that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Silence:
    """Ends a process of which nothing was heard for longer than a bound.

    Attributes:
        ended: whether it was.
    """

    def __init__(self, process: subprocess.Popen[str], bound_seconds: float) -> None:
        self.ended = False
        self._process, self._bound = process, bound_seconds
        self._last = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def heard(self) -> None:
        """It said something."""
        self._last = time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(max(self._left(), 0)):
            if self._left() <= 0:
                self.ended = True
                end(self._process)
                return

    def _left(self) -> float:
        return self._last + self._bound - time.monotonic()
