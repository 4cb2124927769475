"""One process at a time, for what several processes may want to make in the same cache."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.common.errors import Unavailable

_LONGEST_SECONDS = 3600.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file is; the system gives it back when the process ends, however it ends.

    Raises:
        Unavailable: another process has held it for an hour.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "another process has prepared the same data for an hour", value=path.name
                    ) from None
                time.sleep(0.05)
        yield
