"""A workflow as a picture: what was, what is, and what is still to come."""

from __future__ import annotations

from services.board.pipeline import picture, planned_stages, running_stage, stages
from tests.support.board import plain_run
from workflows.local.nodes import Node


def node(name: str, phase: str, kind: str = "Pod", **rest: object) -> Node:
    values: dict[str, object] = {"boundary": "w", "template": name, "started": 10.0, "finished": 12.5}
    return Node(f"w-{name}", f"w[0].{name}", name, kind, phase, **(values | rest))  # type: ignore[arg-type]


def test_the_steps_of_our_templates_are_known_before_they_begin() -> None:
    assert planned_stages("train-model") == ("start", "train", "evaluate", "release", "deliver")
    assert planned_stages("promote-model") == ("check", "approve", "commit", "deliver")
    assert planned_stages("somebody-elses") == ()


def test_done_running_and_to_come() -> None:
    found = stages(plain_run([node("start", "Succeeded"), node("train", "Running", finished=None)]))
    assert [(one.name, one.state) for one in found] == [
        ("start", "done"),
        ("train", "running"),
        ("evaluate", "planned"),
        ("release", "planned"),
        ("deliver", "planned"),
    ]
    assert found[0].seconds == 2.5 and found[1].seconds is None
    at = running_stage(found)
    assert at is not None and at.name == "train"


def test_a_suspended_step_waits_for_somebody() -> None:
    run = plain_run([node("approve", "Running", "Suspend", finished=None)], template="promote-model")
    at = running_stage(stages(run))
    assert at is not None and (at.name, at.state) == ("approve", "waiting")


def test_tries_are_one_stage_and_the_exit_handler_is_shown_if_it_did_something() -> None:
    run = plain_run(
        [
            node("start", "Failed", "Retry", children=["a", "b"], message="exit code 1\nmore"),
            node("start(0)", "Failed", retried=True),
            Node("w-exit", "w.onExit", "w.onExit", "Steps", "Succeeded"),
            node("settle", "Succeeded", boundary="w-exit"),
            node("stop-training", "Skipped", "Skipped", boundary="w-exit"),
        ],
        phase="Failed",
    )
    found = stages(run)
    assert [(one.name, one.state, one.tries) for one in found][:2] == [
        ("start", "bad", 2),
        ("train", "skipped", 0),
    ]
    assert found[0].note == "exit code 1"
    assert [one.name for one in found if one.cleanup] == ["settle"]


def test_a_foreign_workflow_shows_the_steps_that_began() -> None:
    run = plain_run([node("flip", "Succeeded"), node("land", "Running")], template="coin")
    assert [one.name for one in stages(run)] == ["flip", "land"]


def test_a_step_that_never_ended_in_a_run_that_has_is_bad() -> None:
    assert stages(plain_run([node("start", "Running")], phase="Failed"))[0].state == "bad"


def test_the_picture_has_a_place_for_each_and_links_between() -> None:
    drawn = picture(stages(plain_run([node("start", "Succeeded")])))
    assert len(drawn.drawn) == 5 and len(drawn.links) == 4
    assert all(left < right for left, right, _ in drawn.links)
    assert picture([]).width > 0
