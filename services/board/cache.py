"""What other places said, remembered: a page waits for no slow one, and says of one that is away since when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.common.errors import RookeryError

T = TypeVar("T")
_FORGET_SECONDS = 600.0
_AGAIN_SECONDS = 5.0
_THREADS = 12


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What is known of something.

    Attributes:
        value: the last good answer; nothing when there never was one.
        problem: why the newest try gave none; empty when it did.
        at: when the value was read, seconds since the epoch.
    """

    value: T | None
    problem: str
    at: float


@dataclass
class _Entry:
    fetch: Callable[[], Any]
    seconds: float
    value: Any = None
    problem: str = ""
    at: float = 0.0
    tried: float = -1e9
    used: float = 0.0
    work: Future[None] | None = None
    again: bool = False


_used: ContextVar[set[str] | None] = ContextVar("used", default=None)


class Cache:
    """Values by name, each read again in the background when it is used and older than its time.

    Attributes:
        generation: rises whenever something is not as it was before.
    """

    def __init__(self, wait_seconds: float) -> None:
        self.generation = 0
        self._wait = wait_seconds
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="board")

    def get(self, name: str, fetch: Callable[[], T], seconds: float, *, wait: bool = True) -> Reading[T]:
        """What is known; if nothing is, waits a little for the first answer.

        Args:
            fetch: asks anew; an error of it is a problem, not an end.
            seconds: how old an answer may be.
            wait: whether to wait at all.
        """
        seen = _used.get()
        if seen is not None:
            seen.add(name)
        with self._lock:
            entry = self._entries.setdefault(name, _Entry(fetch, seconds))
            entry.fetch, entry.seconds, entry.used = fetch, seconds, time.monotonic()
            self._refresh(name, entry)
            work = entry.work if entry.at == 0 and not entry.problem else None
        if work is not None and wait:
            _settle(work, self._wait)
        waiting = entry.at == 0 and not entry.problem
        return Reading(entry.value, "no answer yet" if waiting else entry.problem, entry.at)

    def touch(self, names: Sequence[str] | set[str]) -> None:
        """Keep these fresh, as if they were used."""
        with self._lock:
            for name in names:
                if (entry := self._entries.get(name)) is not None:
                    entry.used = time.monotonic()
                    self._refresh(name, entry)

    def drop(self, *prefixes: str) -> None:
        """Ask anew for what begins so, at once if somebody looks at it; the old values stay until then."""
        with self._lock:
            for name, entry in self._entries.items():
                if name.startswith(prefixes):
                    entry.tried = -1e9
                    entry.again = entry.work is not None

    @contextmanager
    def recording(self) -> Iterator[set[str]]:
        """The names that are used inside the block, by this thread or task."""
        names: set[str] = set()
        mark = _used.set(names)
        try:
            yield names
        finally:
            _used.reset(mark)

    def close(self) -> None:
        """Lets go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _refresh(self, name: str, entry: _Entry) -> None:
        now = time.monotonic()
        seconds = min(entry.seconds, _AGAIN_SECONDS) if entry.problem else entry.seconds
        if entry.work is None and now - entry.tried > seconds:
            entry.tried = now
            entry.work = self._pool.submit(self._read, name, entry)
            self._tidy(now)

    def _read(self, name: str, entry: _Entry) -> None:
        try:
            value, problem = entry.fetch(), ""
        except RookeryError as error:
            value, problem = None, str(error)
        except Exception as error:
            # Whatever it is: a reading that ended without a word would never be tried again.
            value, problem = None, f"{type(error).__name__}: {error}"
        with self._lock:
            entry.work = None
            if entry.again:
                entry.again, entry.tried = False, -1e9
            changed = problem != entry.problem or (not problem and value != entry.value) or entry.at == 0
            if not problem:
                entry.value, entry.at = value, time.time()
            entry.problem = problem
            if changed:
                self.generation += 1

    def _tidy(self, now: float) -> None:
        for name, entry in list(self._entries.items()):
            if now - entry.used > _FORGET_SECONDS and entry.work is None:
                del self._entries[name]


def _settle(work: Future[None], seconds: float) -> None:
    try:
        work.result(seconds)
    except TimeoutError:
        return
