"""What Prometheus is told is what the store has."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.arbiter.arbiter import Arbiter
from services.arbiter.decide import DAY, FAILED
from services.arbiter.telemetry import exposition
from services.common.errors import Unavailable
from tests.support.arbiter import Engine, Machine

Figures = dict[tuple[str, ...], float]


def figures(arbiter: Arbiter) -> dict[str, Figures]:
    """By name of the metric, then by the values of the labels in the order of their names."""
    found: dict[str, Figures] = {}
    for family in text_string_to_metric_families(exposition(arbiter).decode()):
        for sample in family.samples:
            values = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[values] = sample.value
    return found


def test_an_arbiter_that_did_nothing_says_so(arbiter: Arbiter) -> None:
    assert figures(arbiter) == {
        "rookery_arbiter_problems_total": dict.fromkeys(
            [("round",), ("decide",), ("submit",), ("follow",)], 0.0
        )
    }


def test_events_decisions_and_trainings_are_counted(
    arbiter: Arbiter, engine: Engine, machine: Machine
) -> None:
    for subject in ("a", "b"):
        arbiter.take("manual", "digits", subject, {}, "ann")
    arbiter.take("data", "birds", 'it"s\\\n', {}, "ann")
    assert figures(arbiter)["rookery_arbiter_open_events"] == {("digits",): 2.0, ("birds",): 1.0}
    machine.go(10)
    arbiter.round()
    found = figures(arbiter)
    assert found["rookery_arbiter_open_events"] == {("birds",): 1.0}
    assert found["rookery_arbiter_decisions_total"] == {
        ("birds", "debounce", "wait"): 1.0,
        ("digits", "manual", "retrain"): 1.0,
    }
    assert found["rookery_arbiter_trainings_today"] == {("digits", "running"): 1.0}
    (name,) = engine.workflows
    engine.outcomes[name] = (FAILED, "no memory")
    arbiter.round()
    assert figures(arbiter)["rookery_arbiter_trainings_today"] == {("digits", "failed"): 1.0}
    machine.go(DAY + 1)
    assert "rookery_arbiter_trainings_today" not in figures(arbiter)


def test_what_goes_wrong_is_counted(arbiter: Arbiter, engine: Engine, machine: Machine) -> None:
    engine.dies = Unavailable("Argo is away")
    arbiter.take("manual", "digits", "", {}, "ann")
    machine.go(10)
    arbiter.round()
    arbiter.round()
    problems = figures(arbiter)["rookery_arbiter_problems_total"]
    assert problems[("submit",)] >= 2 and problems[("round",)] == 0


def test_a_database_that_is_away_is_no_figure_of_zero(arbiter: Arbiter, tmp_path: Path) -> None:
    arbiter.store.close()
    (tmp_path / "arbiter.db").unlink()
    (tmp_path / "arbiter.db").mkdir()
    with pytest.raises(Unavailable):
        exposition(arbiter)
