"""The newest runs, without reading again what has not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.board import recent
from services.board.recent import RecentRuns
from tests.support.board import World


def test_newest_first_and_as_they_go_on(world: World) -> None:
    runs = RecentRuns(world.home)
    assert runs.newest(5) == []
    written = world.run("train-model", {"application": "digits"})
    step = written.step("start")
    assert [one.display_name for one in runs.newest(5)[0].nodes][-1] == "start"
    written.end(step)
    assert runs.newest(5)[0].nodes[-1].phase == "Succeeded"
    world.run("train-model", {"application": "digits"})
    assert len(runs.newest(5)) == 2 and len(runs.newest(1)) == 1


def test_a_run_that_has_not_changed_is_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run("train-model", {"application": "digits"})
    runs = RecentRuns(world.home)
    first = runs.newest(5)

    def never(*_: Any) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(recent, "listed_run", never)
    assert runs.newest(5) == first


def test_a_broken_journal_is_shown_as_an_error(world: World) -> None:
    name = world.run("train-model", {"application": "digits"}).name
    journal: Path = world.home / "runs" / name / "journal.jsonl"
    journal.write_text("rubbish\n" + journal.read_text())
    (run,) = RecentRuns(world.home).newest(5)
    assert run.phase == "Error" and "no JSON" in run.message
