"""An interrupt reaches Terraform at a moment at which it loses nothing."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from workflows.infra.silence import end

_SETTLE_SECONDS = 0.5


class Interrupt:
    """Hands SIGINT and SIGTERM on to a running Terraform, which then ends what it is making and writes its state.

    Some of what the OpenStack provider makes is not in the state until it is ready, and an interrupt before that leaves
    it behind unknown (docs/decisions/0009). So the first interrupt waits for such a moment to pass, a second one does
    not, and after a bound Terraform is ended. Outside the main thread nothing is handed on.

    Attributes:
        asked: whether there was one.
    """

    def __init__(
        self, process: subprocess.Popen[str], bound_seconds: float, safe: Callable[[], bool]
    ) -> None:
        self.asked = False
        self._process, self._safe, self._handed_on = process, safe, False
        self._timer = threading.Timer(bound_seconds, end, (process,))
        self._timer.daemon = True
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def look(self) -> None:
        """Hands an interrupt on that waited, if nothing would be lost now, nor by what begins in a moment."""
        if self.asked and not self._handed_on and self._safe():
            again = threading.Timer(_SETTLE_SECONDS, self._hand_on_if_safe)
            again.daemon = True
            again.start()

    def _hand_on_if_safe(self) -> None:
        if not self._handed_on and self._safe():
            self._hand_on()

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            self._hand_on()
            return
        self.asked = True
        self._timer.start()
        self.look()

    def _hand_on(self) -> None:
        self._handed_on = True
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
