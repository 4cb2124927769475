"""A clock that never steps back and never jumps while it runs, whatever the machine's clock does.

It goes on by the time since it was started (monotonic), and over a restart by what the machine's clock says has
passed, if that is not less than nothing. A debounce, a cooldown and a day's budget are counted on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Seconds that the arbiter has lived.

    Args:
        saved: (its seconds, Unix time) when it was last written down; None for the first start.
    """

    def __init__(
        self,
        saved: tuple[float, float] | None = None,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        before, written = saved or (0.0, wall())
        self._begin = before + max(0.0, wall() - written)
        self._started = steady()

    def now(self) -> float:
        """Seconds; never less than before."""
        return self._begin + (self._steady() - self._started)

    def to_save(self) -> tuple[float, float]:
        """What the next start is given."""
        return self.now(), self._wall()
