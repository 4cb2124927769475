"""From events to exactly one workflow, through crashes, floods and bad clocks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from services.arbiter.arbiter import Arbiter
from services.arbiter.decide import FAILED, SUCCEEDED, Recipe
from services.common.errors import InvalidInput, Unavailable
from tests.support.arbiter import Engine, Machine, World, make, verdicts
from workflows.steps.reuse import Past


def test_data_that_changed_are_trained_on_after_the_debounce(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    assert arbiter.look("digits") == []
    world.data = "sha256:more"
    assert len(arbiter.look("digits")) == 1
    assert arbiter.look("digits") == []
    arbiter.round()
    assert verdicts(arbiter) == [("wait", "debounce")]
    machine.go(61)
    arbiter.round()
    assert verdicts(arbiter) == [("wait", "debounce"), ("retrain", "data")]
    ((name, parameters),) = engine.workflows.items()
    assert parameters["application"] == "digits"
    assert "arbiter, decision" in parameters["requested-by"]
    assert arbiter.store.decisions()[0]["workflow"] == name
    engine.outcomes[name] = (SUCCEEDED, "")
    arbiter.round()
    assert arbiter.store.decisions()[0]["outcome"] == SUCCEEDED
    assert arbiter.store.open_events() == {}


def test_code_that_was_pushed_waits_until_it_is_deployed(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    arbiter.look("digits")
    deployed, world.code = world.code, "sha256:pushed"
    arbiter.look("digits")
    world.code = deployed
    machine.go(100)
    arbiter.round()
    assert verdicts(arbiter) == [("wait", "code")]
    world.code = "sha256:pushed"
    arbiter.round()
    assert verdicts(arbiter)[-1] == ("retrain", "code")


@pytest.mark.parametrize("same", [True, False])
def test_a_thousand_triggers_in_a_minute_are_one_training(
    arbiter: Arbiter, engine: Engine, machine: Machine, same: bool
) -> None:
    for number in range(1000):
        arbiter.take("drift", "digits", "window" if same else f"window {number}", {}, "test")
        machine.go(0.06)
        if number % 50 == 0:
            arbiter.round()
    for _ in range(100):
        machine.go(1)
        arbiter.round()
    assert len(engine.workflows) == 1
    decision = arbiter.store.decisions()[0]
    assert decision["verdict"] == "retrain"
    assert decision["event_count"] == (1 if same else 1000)
    if same:
        assert decision["events"][0]["times"] == 1000


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), Unavailable("away"), OSError(28, "no space")])
def test_an_end_between_decision_and_submission_makes_exactly_one_workflow(
    tmp_path: Path,
    arbiter: Arbiter,
    world: World,
    engine: Engine,
    machine: Machine,
    error: BaseException,
    after: bool,
) -> None:
    arbiter.take("manual", "digits", "", {}, "test")
    machine.go(3)
    engine.dies, engine.after = error, after
    with contextlib.suppress(KeyboardInterrupt):
        arbiter.round()
    assert len(arbiter.store.unfinished()) == 1
    engine.dies = None
    again = make(tmp_path, world, engine, machine)
    again.round()
    again.round()
    assert len(engine.workflows) == 1
    assert again.store.unfinished()[0]["outcome"] == "running"


def test_after_a_restart_the_engine_is_asked_to_go_on(
    tmp_path: Path, arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    arbiter.take("manual", "digits", "", {}, "test")
    machine.go(3)
    arbiter.round()
    again = make(tmp_path, world, engine, machine)
    again._take_up()
    assert engine.resumed == list(engine.workflows)


def test_a_clock_that_steps_back_neither_opens_nor_locks_the_gate(
    tmp_path: Path, arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    arbiter.take("data", "digits", "one", {}, "test")
    machine.go(61)
    arbiter.round()
    (name,) = engine.workflows
    engine.outcomes[name] = (SUCCEEDED, "")
    machine.wall -= 1e8
    arbiter.round()
    arbiter.take("data", "digits", "two", {}, "test")
    machine.go(100)
    machine.wall += 3e8
    arbiter.round()
    assert verdicts(arbiter)[-1] == ("wait", "cooldown")
    arbiter._save_clock()
    machine.wall -= 5e8
    again = make(tmp_path, world, engine, machine)
    again.round()
    assert len(engine.workflows) == 1
    machine.go(3600)
    again.round()
    assert len(engine.workflows) == 2


def test_what_a_cooldown_waits_for_is_not_asked_of_others_each_second(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    arbiter.take("data", "digits", "one", {}, "test")
    machine.go(61)
    arbiter.round()
    engine.outcomes[next(iter(engine.workflows))] = (SUCCEEDED, "")
    arbiter.round()
    arbiter.take("data", "digits", "two", {}, "test")
    machine.go(61)
    world.asked.clear()
    for _ in range(100):
        arbiter.round()
        machine.go(1)
    assert verdicts(arbiter)[-1] == ("wait", "cooldown")
    assert len(world.asked) == 10
    arbiter.take("manual", "digits", "now", {}, "me")
    machine.go(3)
    arbiter.round()
    assert len(engine.workflows) == 2


def test_while_the_train_service_is_away_nothing_is_lost(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    world.away = True
    arbiter.take("data", "digits", "x", {}, "test")
    machine.go(61)
    arbiter.round()
    arbiter.round()
    assert verdicts(arbiter) == [("wait", "readable")]
    with pytest.raises(Unavailable):
        arbiter.look("digits")
    world.away = False
    arbiter.round()
    assert len(engine.workflows) == 1


def test_an_event_that_is_told_again_while_a_decision_is_made_is_answered_by_the_next(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pasts[world.key({})] = Past("0123456789abcdef", "7")
    arbiter.take("data", "digits", "a portion", {}, "camera")
    machine.go(61)
    described = world.recipe

    def slow(application: str, parameters: dict[str, str]) -> Recipe:
        found = described(application, parameters)
        machine.go(1)
        arbiter.take("data", "digits", "a portion", {}, "camera")
        world.data = "sha256:more"
        return found

    monkeypatch.setattr(world, "recipe", slow)
    arbiter.round()
    assert verdicts(arbiter) == [("refuse", "novelty")]
    monkeypatch.setattr(world, "recipe", described)
    machine.go(61)
    arbiter.round()
    assert verdicts(arbiter)[-1] == ("retrain", "data")
    assert arbiter.store.open_events() == {}


def test_an_application_that_cannot_be_decided_on_holds_up_no_other(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = world.recipe

    def broken(application: str, parameters: dict[str, str]) -> Recipe:
        if application == "birds":
            raise KeyError("key")
        return described(application, parameters)

    monkeypatch.setattr(world, "recipe", broken)
    for name in ("birds", "digits"):
        arbiter.take("manual", name, "", {}, "ann")
    machine.go(3)
    arbiter.round()
    assert [one["application"] for one in engine.workflows.values()] == ["digits"]
    assert arbiter.problems["decide"] == 1
    assert list(arbiter.store.open_events()) == ["birds"]


def test_what_is_old_by_the_own_clock_is_forgotten_whatever_the_machine_says(
    arbiter: Arbiter, world: World, engine: Engine, machine: Machine
) -> None:
    world.pasts[world.key({})] = Past("0123456789abcdef", "7")
    arbiter.take("data", "digits", "x", {}, "test")
    machine.go(61)
    arbiter.round()
    machine.wall += 1e10
    machine.steady += 4000
    arbiter.round()
    assert len(arbiter.store.decisions()) == 1
    machine.steady += 366 * 86_400
    arbiter.round()
    assert arbiter.store.decisions() == []
    assert arbiter.store.events() == []


def test_a_workflow_that_is_gone_is_a_failure_after_a_while(
    arbiter: Arbiter, engine: Engine, machine: Machine
) -> None:
    arbiter.take("manual", "digits", "", {}, "test")
    machine.go(3)
    arbiter.round()
    engine.outcomes.clear()
    arbiter.round()
    assert arbiter.store.unfinished()
    machine.go(200)
    arbiter.round()
    assert arbiter.store.decisions()[0]["outcome"] == FAILED


def test_a_workflow_that_is_refused_is_a_failure_with_its_reason(
    arbiter: Arbiter, engine: Engine, machine: Machine
) -> None:
    arbiter.take("manual", "digits", "", {"parameters": {"epochz": "1"}}, "test")
    machine.go(3)
    engine.dies = InvalidInput("parameter epochz is unknown")
    arbiter.round()
    decision = arbiter.store.decisions()[0]
    assert decision["outcome"] == FAILED
    assert "epochz" in decision["message"]
