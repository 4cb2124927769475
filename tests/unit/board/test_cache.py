"""Readings: no page waits for a slow place, and the last good word stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from services.board.cache import Cache
from services.common.errors import Unavailable


@pytest.fixture
def cache() -> Iterator[Cache]:
    made = Cache(60)
    yield made
    made.close()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_first_answer_is_waited_for_and_then_remembered(cache: Cache) -> None:
    calls: list[int] = []

    def fetch() -> int:
        calls.append(1)
        return len(calls)

    assert [cache.get("a", fetch, 60).value for _ in range(5)] == [1] * 5


def test_a_slow_place_costs_a_bounded_wait_once() -> None:
    free = threading.Event()
    with closing(Cache(0.5)) as cache:
        began = time.monotonic()
        reading = cache.get("slow", lambda: free.wait(60), 60)
        assert 0.4 < time.monotonic() - began < 20
        assert (reading.value, reading.problem) == (None, "no answer yet")
        free.set()
        until(lambda: cache.get("slow", lambda: True, 60).value is True)


def test_an_old_value_is_given_at_once_and_read_anew_behind(cache: Cache) -> None:
    values = iter([1, 2, 3, 4, 5, 6, 7, 8, 9] * 100)
    assert cache.get("a", lambda: next(values), 0).value == 1
    until(lambda: (cache.get("a", lambda: next(values), 0).value or 0) > 1)


@pytest.mark.parametrize("fault", [IndexError("empty"), AttributeError("no such name"), RuntimeError("ours")])
def test_whatever_goes_wrong_is_said_and_tried_again(cache: Cache, fault: Exception) -> None:
    faults = [fault]

    def fetch() -> str:
        if faults:
            raise faults.pop()
        return "fine"

    assert type(fault).__name__ in cache.get("a", fetch, 0).problem
    until(lambda: cache.get("a", fetch, 0).value == "fine")


def test_a_place_that_goes_away_leaves_its_last_word_and_the_reason(cache: Cache) -> None:
    state = {"away": False}

    def fetch() -> str:
        if state["away"]:
            raise Unavailable("does not answer")
        return "word"

    assert cache.get("a", fetch, 0).value == "word"
    state["away"] = True
    until(lambda: cache.get("a", fetch, 0).problem != "")
    reading = cache.get("a", fetch, 0)
    assert (reading.value, reading.problem) == ("word", "does not answer") and reading.at > 0


def test_only_what_changes_is_news(cache: Cache) -> None:
    value = ["same"]
    cache.get("a", lambda: value[0], 0)
    before = cache.generation
    for _ in range(20):
        cache.touch({"a"})
        time.sleep(0.005)
    assert cache.generation == before
    value[0] = "other"
    until(lambda: bool(cache.touch({"a"})) or cache.generation > before)


def test_what_is_dropped_is_read_again(cache: Cache) -> None:
    value = ["old"]
    assert cache.get("runs", lambda: value[0], 3600).value == "old"
    value[0] = "new"
    cache.drop("runs")
    until(lambda: cache.get("runs", lambda: value[0], 3600).value == "new")


def test_the_names_that_a_page_uses_are_known(cache: Cache) -> None:
    with cache.recording() as used:
        cache.get("a", lambda: 1, 60)
        cache.get("b", lambda: 1, 60)
    cache.get("c", lambda: 1, 60)
    assert used == {"a", "b"}


def test_one_reader_at_a_time(cache: Cache) -> None:
    running, most = [0], [0]

    def fetch() -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        running[0] -= 1
        return 1

    threads = [threading.Thread(target=lambda: cache.get("a", fetch, 0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
