"""What events ask for: which data and parameters are trained with, and which events are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.arbiter.arbiter import Arbiter
from services.arbiter.decide import SUCCEEDED
from services.common.errors import InvalidInput, Unavailable
from tests.support.arbiter import Engine, Machine, World, make, verdicts
from workflows.steps.reuse import Past


def test_the_same_again_is_refused_unless_what_it_left_is_gone(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    world.pasts[world.key({})] = Past("0123456789abcdef", "7")
    arbiter.take("schedule", "digits", "", {}, "test")
    machine.go(61)
    arbiter.round()
    assert verdicts(arbiter) == [("refuse", "novelty")]
    assert "made version 7" in arbiter.store.decisions()[0]["reason"]
    world.pasts[world.key({})] = Past("0123456789abcdef", "7", ("bundle/model.onnx",))
    arbiter.take("schedule", "digits", "", {}, "test")
    machine.go(61)
    arbiter.round()
    assert len(engine.workflows) == 1


def test_labels_say_what_is_trained_on_from_then_on(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    arbiter.take("labels", "digits", "sha256:v2", {"source": "/data/labels?version=2"}, "labels")
    arbiter.take("manual", "digits", "", {"parameters": {"epochs": "3"}}, "ann")
    machine.go(3)
    arbiter.round()
    (parameters,) = engine.workflows.values()
    assert (parameters["data-source"], parameters["epochs"]) == ("/data/labels?version=2", "3")
    (name,) = engine.workflows
    engine.outcomes[name] = (SUCCEEDED, "")
    arbiter.round()
    arbiter.take("schedule", "digits", "", {}, "test")
    machine.go(7200)
    arbiter.round()
    assert world.asked[-1] == {"data-source": "/data/labels?version=2"}


def test_a_data_source_that_is_a_parameter_is_for_one_training(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    arbiter.take("manual", "digits", "", {"parameters": {"data-source": "/data/try"}}, "ann")
    machine.go(3)
    arbiter.round()
    ((name, parameters),) = engine.workflows.items()
    assert parameters["data-source"] == "/data/try"
    engine.outcomes[name] = (SUCCEEDED, "")
    arbiter.round()
    arbiter.take("manual", "digits", "", {}, "ann")
    machine.go(3)
    arbiter.round()
    assert world.asked[-1] == {}


def test_drift_that_lasts_is_answered_once_a_day(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    world.pasts[world.key({})] = Past("0123456789abcdef", "7")
    first = arbiter.take("drift", "digits", "production version 7", {"drifting": "contrast"}, "monitor")
    machine.go(61)
    arbiter.round()
    for _ in range(4):
        again = arbiter.take("drift", "digits", "production version 7", {"drifting": "other"}, "monitor")
        assert again == first
        machine.go(900)
        arbiter.round()
    assert verdicts(arbiter) == [("refuse", "novelty")]
    machine.go(86_400)
    assert arbiter.take("drift", "digits", "production version 7", {}, "monitor") != first


def test_data_in_quarantine(arbiter: Arbiter, world: World, engine: Engine, machine: Machine) -> None:
    world.data = "sha256:" + "d" * 64
    arbiter.quarantine("digits", world.data, "a vandal", "ann", release=False)
    arbiter.take("data", "digits", world.data, {}, "test")
    machine.go(61)
    arbiter.round()
    assert verdicts(arbiter) == [("refuse", "quarantine")]
    assert "a vandal (ann)" in arbiter.store.decisions()[0]["reason"]
    arbiter.quarantine("digits", world.data, "", "ann", release=True)
    arbiter.take("data", "digits", world.data, {}, "test")
    machine.go(61)
    arbiter.round()
    assert len(engine.workflows) == 1


def test_parameters_that_no_training_takes_are_refused_and_hold_up_no_other_event(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    world.unknown = {"epoch"}
    wrong = arbiter.take("manual", "digits", "a typing error", {"parameters": {"epoch": "12"}}, "ann")
    right = arbiter.take("manual", "digits", "more of it", {"parameters": {"epochs": "12"}}, "ann")
    labels = arbiter.take("labels", "digits", "labelled", {"source": "labels:digits@1"}, "people")
    machine.go(61)
    arbiter.round()
    arbiter.round()
    trained, refused = arbiter.store.decisions()
    assert (refused["verdict"], refused["rule"]) == ("refuse", "possible")
    assert "unknown hyperparameter epoch" in refused["reason"]
    assert [one["id"] for one in refused["events"]] == [wrong]
    assert trained["verdict"] == "retrain" and {one["id"] for one in trained["events"]} == {right, labels}
    ((_, parameters),) = engine.workflows.items()
    assert parameters["data-source"] == "labels:digits@1" and parameters["epochs"] == "12"
    assert arbiter.store.open_events() == {}


def test_a_source_that_is_refused_for_now_is_nobodys_fault(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    world.unknown = {"data-source"}
    arbiter.take("labels", "digits", "labelled", {"source": "labels:digits@1"}, "people")
    arbiter.take("manual", "digits", "", {"parameters": {"epochs": "12"}}, "ann")
    machine.go(61)
    arbiter.round()
    assert verdicts(arbiter) == [("wait", "readable")]
    world.unknown = set()
    arbiter.round()
    assert len(engine.workflows) == 1


def test_an_application_that_git_does_not_have_is_refused(arbiter: Arbiter, machine: Machine) -> None:
    arbiter.take("data", "owls", "x", {}, "test")
    machine.go(61)
    arbiter.round()
    assert verdicts(arbiter) == [("refuse", "possible")]
    assert arbiter.store.open_events() == {}


@pytest.mark.parametrize(
    ("kind", "application", "detail", "wrong"),
    [
        ("rain", "digits", {}, "kind of event"),
        ("data", "../x", {}, "name"),
        ("data", "digits", {"x": "y" * 9000}, "too large"),
        ("manual", "digits", {"parameters": {"epochs": 3}}, "texts"),
        ("manual", "digits", {"parameters": {"train-ip": "1.2.3.4"}}, "train-ip"),
        ("manual", "digits", {"force": "yes"}, "force"),
    ],
)
def test_an_event_that_is_none_is_refused(
    arbiter: Arbiter, kind: str, application: str, detail: dict[str, object], wrong: str
) -> None:
    with pytest.raises(InvalidInput, match=wrong):
        arbiter.take(kind, application, "", detail, "test")


def test_open_events_are_bounded(tmp_path: Path, world: World, engine: Engine, machine: Machine) -> None:
    arbiter = make(tmp_path, world, engine, machine, most_open=10)
    for number in range(10):
        arbiter.take("data", "digits", str(number), {}, "test")
    with pytest.raises(Unavailable, match="too many"):
        arbiter.take("data", "digits", "more", {}, "test")
