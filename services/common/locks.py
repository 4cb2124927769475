"""Locks between processes. The kernel lets go when the holder dies, however it dies."""

from __future__ import annotations

import fcntl
import time


def take(descriptor: int, seconds: float, pause: float = 0.05) -> bool:
    """Hold an open file alone, waiting at most so long; whether it is held now. Source: flock(2)."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
