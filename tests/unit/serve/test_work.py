from __future__ import annotations

import asyncio
import threading

import pytest

from services.common.errors import InvalidInput, Unavailable
from services.serve.work import Work


def test_one_more_than_fits_is_refused_and_places_come_back() -> None:
    async def scenario() -> None:
        work, gate = Work(2, 1), threading.Event()
        running = [asyncio.create_task(work.run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (work.inside, work.queued) == (3, 1)
        with pytest.raises(Unavailable, match="2 predictions at once and 1 waiting"):
            await work.run(gate.wait)
        gate.set()
        assert await asyncio.gather(*running) == [True] * 3
        await asyncio.sleep(0.05)
        assert work.inside == 0
        assert await work.run(lambda: 7) == 7
        work.close()

    asyncio.run(scenario())


def test_a_cancelled_caller_does_not_free_a_busy_place() -> None:
    async def scenario() -> None:
        work, gate = Work(1, 0), threading.Event()
        caller = asyncio.create_task(work.run(gate.wait))
        await asyncio.sleep(0.05)
        caller.cancel()
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable):
            await work.run(gate.wait)
        gate.set()
        for _ in range(6000):
            if work.inside:
                await asyncio.sleep(0.01)
        assert work.inside == 0
        work.close()

    asyncio.run(scenario())


def test_errors_come_through_and_free_the_place() -> None:
    def fail() -> None:
        raise InvalidInput("no")

    async def scenario() -> None:
        work = Work(1, 0)
        for _ in range(3):
            with pytest.raises(InvalidInput):
                await work.run(fail)
            await asyncio.sleep(0.01)
        assert work.inside == 0
        work.close()

    asyncio.run(scenario())
