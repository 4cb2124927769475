"""An interrupt reaches Terraform at a moment at which it loses nothing."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from workflows.infra.silence import end

_SETTLE_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Hands SIGINT and SIGTERM on to a running Terraform, which then ends what it is making and writes its state.

    Some of what the OpenStack provider makes is not in the state until it is ready, and an interrupt before that leaves
    it behind unknown (docs/decisions/0009). So the first interrupt waits for such a moment to pass, a second one does
    not, and after a bound Terraform is ended. Outside the main thread nothing is handed on.

    A signal that comes just before a read begins does not wake the read. So signals are written into a pipe, whose
    other end (`fileno`) is waited for together with the output, and one thread does all the rest in `look`.

    Attributes:
        asked: whether there was one.
    """

    def __init__(self, bound_seconds: float, safe: Callable[[], bool]) -> None:
        self.asked = False
        self._bound, self._safe = bound_seconds, safe
        self._handed_on = False
        self._ends = self._settled = math.inf
        self._former: dict[signal.Signals, Any] = {}
        self._reader = self._writer = self._former_writer = -1

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        if threading.current_thread() is threading.main_thread():
            self._former_writer = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            for number in _SIGNALS:
                self._former[number] = signal.signal(number, _noted)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._former:
            signal.set_wakeup_fd(self._former_writer)
        self.asked = self.asked or self._came() > 0
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """What can be read when there was one."""
        return self._reader

    def look(self, process: subprocess.Popen[bytes]) -> float:
        """Hands an interrupt on that waited, if nothing would be lost now, nor by what begins in a moment.

        Returns:
            Seconds after which to look again, whatever comes until then.
        """
        now = time.monotonic()
        for _ in range(self._came()):
            if self.asked:
                self._hand_on(process)
            else:
                self.asked, self._ends = True, now + self._bound
        if not self.asked:
            return math.inf
        if now >= self._ends:
            end(process)
            return math.inf
        if not self._handed_on:
            self._settle(process, now)
        return min(self._ends, math.inf if self._handed_on else self._settled) - now

    def _settle(self, process: subprocess.Popen[bytes], now: float) -> None:
        if not self._safe():
            self._settled = math.inf
        elif self._settled == math.inf:
            self._settled = now + _SETTLE_SECONDS
        elif now >= self._settled:
            self._hand_on(process)

    def _came(self) -> int:
        """How many interrupts came since the last time."""
        try:
            return sum(number in _SIGNALS for number in os.read(self._reader, 4096))
        except BlockingIOError:
            return 0

    def _hand_on(self, process: subprocess.Popen[bytes]) -> None:
        self._handed_on = True
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The pipe was told already; without a handler the signal would end this process."""
