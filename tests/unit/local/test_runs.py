"""What people read of runs on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from workflows.local.nodes import Node
from workflows.local.runs import Run, failed_step, list_runs, root_cause
from workflows.local.workflow import Workflow


def _run(*nodes: Node) -> Run:
    return Run("r", "Failed", "m", 0, 0, None, "t", {}, {}, list(nodes), None)


def _node(name: str, phase: str, finished: float = 0.0, **more: Any) -> Node:
    return Node(name, name, name, more.pop("type", "Pod"), phase, finished=finished, **more)


def _flow(home: Path, name: str, journal: str) -> None:
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    Workflow(name, name, 1.0, "default", {"kind": "Workflow"}, {}, {}, {}, {}).save(folder / "workflow.json")
    (folder / "journal.jsonl").write_text(journal)


def test_one_that_was_cancelled_is_told_from_one_that_failed() -> None:
    run = _run(_node("train", "Failed"))
    assert not run.cancelled
    stopped = replace(run, message="Stopped with strategy 'Stop'")
    assert stopped.cancelled
    assert (
        not replace(stopped, phase="Running").cancelled and not replace(stopped, phase="Succeeded").cancelled
    )


def test_a_try_that_was_repeated_is_not_why_a_run_failed() -> None:
    found = failed_step(
        _run(
            _node("train", "Succeeded", type="Retry", children=["train(0)", "train(1)"]),
            _node("train(0)", "Failed", 1.0),
            _node("train(1)", "Succeeded", 2.0),
            _node("evaluate", "Failed", type="Retry", children=["evaluate(0)", "evaluate(1)"]),
            _node("evaluate(0)", "Failed", 3.0, exit_code="1"),
            _node("evaluate(1)", "Failed", 4.0, exit_code="3"),
        )
    )
    assert found is not None
    assert found.name == "evaluate(1)"


def test_a_step_without_retries_is_found_and_none_is_none() -> None:
    assert failed_step(_run(_node("a", "Succeeded"))) is None
    found = failed_step(_run(_node("a", "Failed", 2.0), _node("b", "Error", 1.0)))
    assert found is not None
    assert found.name == "b"


def test_a_step_that_could_not_begin_is_the_cause(tmp_path: Path) -> None:
    never = _node("b", "Error", type="Skipped", message="no number")
    assert root_cause(tmp_path, _run(_node("a", "Succeeded"), never)) == "b: no number"


def test_one_altered_journal_does_not_hide_the_other_runs(tmp_path: Path) -> None:
    _flow(tmp_path, "good", "")
    _flow(tmp_path, "bad", "altered\n{}\n")
    phases = {run.name: run.phase for run in list_runs(tmp_path)}
    assert phases == {"good": "Pending", "bad": "Error"}
