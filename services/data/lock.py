"""One process at a time, for what several processes may want to make in the same cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.common.errors import Unavailable
from services.common.locks import take

_LONGEST_SECONDS = 3600.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file is; the system gives it back when the process ends, however it ends.

    Raises:
        Unavailable: another process has held it for an hour.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not take(file.fileno(), _LONGEST_SECONDS):
            raise Unavailable("another process has prepared the same data for an hour", value=path.name)
        yield
