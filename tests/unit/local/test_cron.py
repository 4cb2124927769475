"""CronWorkflows on one machine: due once, caught up once, and the old ones forgotten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.common.errors import Conflict, InvalidInput
from workflows.local import cron as module
from workflows.local.cron import Crons, read_crons
from workflows.local.settings import PlatformSettings
from workflows.render import CRON_FOLDER, RENDERED, rendered_crons

NOON = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)


class Engine:
    """Runs that end when a test says so."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self.given: dict[str, dict[str, str]] = {}
        self.cancelled: list[str] = []

    def submit(self, template: str, given: Mapping[str, str], *, name: str, **more: object) -> str:
        if name in self.runs:
            raise Conflict("there is a run of that name", value=name)
        self.runs[name] = SimpleNamespace(name=name, done=False, phase="Running", engine=1)
        self.given[name] = {"template": template, **given}
        return name

    def end(self, name: str, phase: str = "Succeeded") -> None:
        self.runs[name] = SimpleNamespace(name=name, done=True, phase=phase, engine=None)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    made = Engine()
    monkeypatch.setattr(
        module,
        "control",
        SimpleNamespace(submit=made.submit, cancel=lambda _, name: made.cancelled.append(name)),
    )
    monkeypatch.setattr(module, "run_names", lambda _: list(made.runs))
    monkeypatch.setattr(module, "get_run", lambda _, name: made.runs[name])

    def folder(home: Path, name: str) -> Any:
        made.runs.pop(name)
        return SimpleNamespace(path=tmp_path / "gone")

    monkeypatch.setattr(module, "run_folder", folder)
    return made


@pytest.fixture
def crons(engine: Engine, tmp_path: Path) -> Crons:
    folder = tmp_path / "rendered" / CRON_FOLDER
    folder.mkdir(parents=True)
    (folder / "watch.yaml").write_text(rendered_crons()["watch-applications.yaml"])
    (tmp_path / "cron").mkdir()
    return Crons(PlatformSettings(home=tmp_path), folder)


def test_those_of_the_platform_can_run_here() -> None:
    assert [one.name for one in read_crons(RENDERED / CRON_FOLDER)] == [
        "retrain-weekly",
        "watch-applications",
    ]


def test_each_due_minute_is_run_once(crons: Crons, engine: Engine) -> None:
    assert crons.step(NOON) == []
    assert crons.step(NOON + timedelta(minutes=14)) == []
    (name,) = crons.step(NOON + timedelta(minutes=15))
    assert engine.given[name]["template"] == "watch-applications"
    assert crons.step(NOON + timedelta(minutes=15, seconds=5)) == []
    engine.end(name)
    assert len(crons.step(NOON + timedelta(minutes=30))) == 1


def test_a_crash_before_the_state_is_written_runs_no_minute_twice(crons: Crons, engine: Engine) -> None:
    crons.step(NOON)
    state = crons._state.read_text()
    (name,) = crons.step(NOON + timedelta(minutes=15))
    engine.end(name)
    crons._state.write_text(state)
    assert crons.step(NOON + timedelta(minutes=16)) == []
    assert list(engine.runs) == [name]


def test_what_was_missed_is_caught_up_once_and_not_when_it_is_old(crons: Crons, engine: Engine) -> None:
    crons.step(NOON)
    (name,) = crons.step(NOON + timedelta(hours=5, minutes=8))
    assert name.endswith(str(int(datetime(2026, 6, 1, 17, 0, tzinfo=UTC).timestamp())))
    engine.end(name)
    assert crons.step(NOON + timedelta(hours=10, minutes=12)) == []


def test_a_clock_that_steps_back_runs_nothing_again(crons: Crons, engine: Engine) -> None:
    crons.step(NOON)
    (name,) = crons.step(NOON + timedelta(minutes=15))
    engine.end(name)
    assert crons.step(NOON - timedelta(hours=3)) == []
    assert crons.step(NOON + timedelta(minutes=15)) == []


def test_what_could_not_be_begun_is_tried_again(
    crons: Crons, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "no space left")

    crons.step(NOON)
    with monkeypatch.context() as patch:
        patch.setattr(module.control, "submit", full)
        with pytest.raises(OSError, match="no space"):
            crons.step(NOON + timedelta(minutes=15))
    (name,) = crons.step(NOON + timedelta(minutes=15, seconds=5))
    assert name.endswith(str(int(datetime(2026, 6, 1, 12, 15, tzinfo=UTC).timestamp())))


def test_a_clock_that_was_years_ahead_once_stops_nothing(crons: Crons, engine: Engine) -> None:
    crons.step(NOON + timedelta(days=4000))
    assert crons.step(NOON) == []
    assert len(crons.step(NOON + timedelta(minutes=15))) == 1


def test_one_that_still_runs_is_not_joined(crons: Crons, engine: Engine) -> None:
    crons.step(NOON)
    crons.step(NOON + timedelta(minutes=15))
    assert crons.step(NOON + timedelta(minutes=30)) == []


def test_old_runs_are_forgotten(crons: Crons, engine: Engine) -> None:
    crons.step(NOON)
    for number in range(1, 9):
        (name,) = crons.step(NOON + timedelta(minutes=15 * number))
        engine.end(name, "Succeeded" if number % 2 else "Failed")
    crons.step(NOON + timedelta(minutes=15 * 8, seconds=30))
    phases = [run.phase for run in engine.runs.values()]
    assert (phases.count("Succeeded"), phases.count("Failed")) == (1, 3)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"schedules": ["61 * * * *"]}, "minute"),
        ({"timezone": "Mars/Olympus"}, "Mars"),
        ({"when": "{{=true}}"}, "when"),
        ({"concurrencyPolicy": "Maybe"}, "concurrencyPolicy"),
    ],
)
def test_what_cannot_run_here_is_refused_by_its_name(
    tmp_path: Path, change: dict[str, object], wrong: str
) -> None:
    spec = {"schedules": ["@daily"], "workflowSpec": {"workflowTemplateRef": {"name": "x"}}, **change}
    document = {"kind": "CronWorkflow", "metadata": {"name": "x"}, "spec": spec}
    (tmp_path / "x.yaml").write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match=wrong):
        read_crons(tmp_path)
