"""The four figures, worked out by hand on a small history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.observe import pipeline
from services.observe.pipeline import Deployment, Pipeline, read_pipelines
from tests.support.release import evidence, gitops, make_remote, runs
from workflows.release.application import ApplicationFacts
from workflows.release.history import Step, steps
from workflows.release.release import promote, release
from workflows.release.rollback import rollback

WHO: dict[str, Any] = {"requested_by": "a tester", "workflow": "w-1"}
FACTS = ApplicationFacts(name="digits", title="Digits", kind="image", data_source="digits", model_name="cnn")


def test_a_history_of_two_deployments_one_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = gitops(make_remote(tmp_path), tmp_path / "cache")
    days: dict[str, int] = {}
    for version, day in ((1, 101), (2, 105)):
        days[release(ops, evidence(version)).commit] = day
        for number, (source, target) in enumerate((("staging", "canary"), ("canary", "production"))):
            done = promote(ops, "digits", source, target, str(version), running=runs(version), **WHO)
            days[done.commit] = day + 1 + number
    days[rollback(ops, "digits", "production", reason="worse", **WHO).commit] = 108

    def dated(*arguments: Any) -> list[Step]:
        found = [step for step in steps(*arguments) if step.commit in days]
        return [
            replace(step, at=datetime.fromtimestamp(days[step.commit] * 86_400, UTC).isoformat())
            for step in found
        ]

    monkeypatch.setattr(pipeline, "steps", dated)
    (found,) = read_pipelines(ops.tree())
    assert [(one.at / 86_400, one.lead, one.restored) for one in found.deployments] == [
        (103, 2 * 86_400, None),
        (107, 2 * 86_400, 86_400),
    ]
    assert found.actions[("production", "promote")] == 2
    assert found.actions[("production", "rollback")] == 1
    assert found.now["production"].version == "1"
    assert found.now["production"].since == 108 * 86_400
    assert found.now["production"].born == 101 * 86_400
    assert found.now["staging"].version == "2"
    assert found.failure_share(0) == 0.5
    assert (found.lead(0), found.restore(0), found.count(0)) == (2 * 86_400, 86_400, 2)


def test_an_application_that_released_nothing_has_no_figures(tmp_path: Path) -> None:
    ops = gitops(make_remote(tmp_path), tmp_path / "cache")
    (found,) = read_pipelines(ops.tree())
    assert not found.now and not found.deployments
    assert (found.lead(0), found.failure_share(0), found.count(0)) == (None, None, 0)


def test_only_the_last_ninety_days_count() -> None:
    old, new = Deployment(10, 5, 5), Deployment(100, None, None)
    found = Pipeline(FACTS, {}, {}, [old, new])
    assert (found.count(50), found.lead(50), found.failure_share(50)) == (1, None, 0.0)
    assert found.lead(0) == 5
