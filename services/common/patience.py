"""How long somebody waits who asks again."""

from __future__ import annotations

import time
from collections.abc import Iterator


def pauses(patience: float) -> Iterator[float]:
    """Seconds to pause between tries: 0.2, doubled up to 3, until `patience` seconds are used up."""
    deadline = time.monotonic() + patience
    pause = 0.2
    while True:
        left = deadline - time.monotonic()
        yield max(0.0, min(pause, left))
        if time.monotonic() >= deadline:
            return
        pause = min(pause * 2, 3.0)
