"""One pool of threads for the models, with a bounded number of predictions that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from services.common.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class Work:
    """Runs functions in `workers` threads; at most `waiting` more may wait for one.

    Used from the event loop only, so counting needs no lock.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self.workers = workers
        self.waiting = waiting
        self.inside = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="predict")

    @property
    def queued(self) -> int:
        """How many wait for a thread now."""
        return max(0, self.inside - self.workers)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises.

        A caller that is cancelled leaves the function running: its place stays taken until it ends.

        Raises:
            Unavailable: all threads are busy and the places to wait are taken.
        """
        if self.inside >= self.workers + self.waiting:
            raise Unavailable(
                "all places are taken, try again soon",
                value=self.inside,
                allowed=f"{self.workers} predictions at once and {self.waiting} waiting",
            )
        self.inside += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)

    def close(self) -> None:
        """End the threads after what they are doing; what still waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, future: asyncio.Future[T]) -> None:
        self.inside -= 1
        if not future.cancelled():
            future.exception()
