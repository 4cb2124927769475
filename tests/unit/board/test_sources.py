"""What the pages read: by commit, remembered, and away without harm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from services.board.asking import Asker
from services.board.cache import Cache
from services.board.place import LocalPlace
from services.board.settings import BoardSettings
from services.board.sources import SERVICES, Sources
from tests.support.board import World


@contextmanager
def sources_of(world: World) -> Iterator[Sources]:
    cache, asker = Cache(60), Asker(20)
    yield Sources(BoardSettings.read(), LocalPlace(world.platform), cache, asker)
    cache.close()
    asker.close()


@pytest.fixture
def sources(world: World) -> Iterator[Sources]:
    with sources_of(world) as found:
        yield found


def test_a_part_that_is_added_while_the_board_runs_is_found(fresh: World) -> None:
    state = fresh.home / "platform.json"
    with sources_of(fresh) as sources:
        assert {name: sources.address(name) for name in SERVICES} == dict.fromkeys(SERVICES, "")
        state.write_text(json.dumps({"ports": {"monitor": 9, "labels": 10}, "packs": []}))
        assert (sources.address("monitor"), sources.address("labels")) == ("http://127.0.0.1:9", "")
        state.write_text(json.dumps({"ports": {"monitor": 9, "labels": 10}, "packs": ["labels"]}))
        assert sources.address("labels") == "http://127.0.0.1:10"
    given = BoardSettings.read(labels_url="http://labels.example")
    with closing(Asker(1)) as asker, closing(Cache(5)) as cache:
        assert (
            Sources(given, LocalPlace(fresh.platform), cache, asker).address("labels")
            == "http://labels.example"
        )
    state.unlink()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_git_is_read_by_commit_and_a_new_one_is_seen(fresh: World) -> None:
    with sources_of(fresh) as sources:
        _a_new_commit_is_seen(sources, fresh)


def _a_new_commit_is_seen(sources: Sources, world: World) -> None:
    past = sources.past("digits", "staging").value
    assert past is not None and past[0].model_version == "1"
    found = sources.why("digits", "staging").value
    assert found is not None and found.evidence is not None
    world.release(2)

    def second() -> bool:
        steps = sources.past("digits", "staging").value
        return bool(steps) and steps[0].model_version == "2"

    until(second)


def test_a_promotion_is_planned(sources: Sources) -> None:
    plan = sources.plan("digits", "staging", "canary").value
    assert plan is not None and plan.possible and plan.model_version == "1"
    other = sources.plan("digits", "staging", "production").value
    assert other is not None and not other.possible


def test_services_that_nobody_started_are_not_running(sources: Sources) -> None:
    assert sources.decisions().problem == "not running"
    assert sources.queue("digits").problem == "not running"
    assert sources.service("mlflow").problem == "not running"


def test_an_unknown_run_is_no_value(sources: Sources) -> None:
    reading = sources.run("train-model-zzzzz")
    assert reading.value is None and "no such run" in reading.problem


def test_logs_and_reasons(sources: Sources, world: World) -> None:
    written = world.run("train-model", {"application": "digits"})
    written.end(written.step("start"), "Failed", "exit code 1")
    written.save("Failed", "child failed")
    run = sources.run(written.name).value
    assert run is not None and run.done
    assert sources.reason(run) == "start: exit code 1"
    assert sources.log(run).value == []
