"""Whether to retrain: each rule alone, and what holds for any history."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.arbiter.decide import (
    CANCELLED,
    DAY,
    FAILED,
    KINDS,
    REFUSED,
    RUNNING,
    SUCCEEDED,
    Event,
    Policy,
    Recipe,
    Situation,
    Training,
    budget_left,
    decide,
)

POLICY = Policy()
RECIPE = Recipe("sha256:key", "sha256:data", "sha256:code")
NOW = 10 * DAY


def event(kind: str = "data", at: float = NOW - 1000, last: float | None = None, **more: object) -> Event:
    return Event(1, kind, at, at if last is None else last, **more)  # type: ignore[arg-type]


def training(outcome: str = SUCCEEDED, age: float = 2 * DAY, **more: object) -> Training:
    ended = None if outcome == RUNNING else NOW - age + 10
    values = {"application": "digits", "key": "sha256:other", "data": "sha256:before", **more}
    return Training("d", started=NOW - age, outcome=outcome, ended=ended, **values)  # type: ignore[arg-type]


def said(*events: Event, recipe: Recipe = RECIPE, **more: object) -> tuple[str, str]:
    found = decide(Situation("digits", NOW, events, recipe, **more), POLICY)  # type: ignore[arg-type]
    assert found is not None
    assert found.reason
    return found.verdict, found.rule


def test_nothing_open_is_no_decision() -> None:
    assert decide(Situation("digits", NOW, (), RECIPE), POLICY) is None


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_is_a_reason(kind: str) -> None:
    assert said(event(kind)) == ("retrain", kind)


def test_more_is_awaited_but_not_for_ever() -> None:
    assert said(event(at=NOW - 30)) == ("wait", "debounce")
    assert said(event(at=NOW - 800, last=NOW - 5)) == ("wait", "debounce")
    assert said(event(at=NOW - 901, last=NOW - 5)) == ("retrain", "data")
    assert said(event("manual", at=NOW - 3)) == ("retrain", "manual")


def test_one_training_of_an_application_at_a_time() -> None:
    assert said(event(), trainings=[training(RUNNING, age=10)]) == ("wait", "one at a time")
    assert said(event(), trainings=[training(RUNNING, age=10, application="birds")])[0] == "retrain"


def test_what_cannot_be_read_is_awaited() -> None:
    assert said(event(), recipe=Recipe(problem="the disk is away")) == ("wait", "readable")
    assert said(event(), recipe=Recipe(problem="no such folder", fault="asked")) == ("wait", "readable")


def test_what_no_waiting_makes_possible_is_refused() -> None:
    gone = Recipe(problem="there is no such application", fault="application")
    assert said(event(force=True), recipe=gone) == ("refuse", "possible")
    wrong = Recipe(problem="unknown hyperparameter", fault="asked")
    asked = [replace(event("manual"), id=2, force=True), event("labels")]
    found = decide(Situation("digits", NOW, asked, wrong, blamed=frozenset({2})), POLICY)
    assert found is not None and (found.verdict, found.rule, found.events) == ("refuse", "possible", (2,))


def test_data_in_quarantine_are_refused_unless_forced() -> None:
    known = {"sha256:data": "labels of a vandal"}
    assert said(event(), quarantined=known) == ("refuse", "quarantine")
    assert said(event("manual", force=True), quarantined=known)[0] == "retrain"
    assert said(event(), quarantined={"sha256:else": "x"})[0] == "retrain"


def test_data_that_failed_again_and_again_are_refused_and_other_data_are_not() -> None:
    failed = [training(FAILED, age=(3 - n) * DAY, data="sha256:data") for n in range(3)]
    assert said(event(), trainings=failed) == ("refuse", "bad source")
    other = Recipe("sha256:key", "sha256:new", "sha256:code")
    assert said(event(), trainings=failed, recipe=other)[0] == "retrain"
    assert said(event(), trainings=[*failed, training(SUCCEEDED, age=0.5 * DAY, data="sha256:data")])[0] == (
        "retrain"
    )


def test_one_that_was_cancelled_neither_fails_nor_ends_a_row_of_failures() -> None:
    def row(*outcomes: str) -> list[Training]:
        return [training(one, age=(9 - n) * 3600.0) for n, one in enumerate(outcomes)]

    policy = Policy(rest=DAY)
    for outcomes, verdict in (
        ((CANCELLED, CANCELLED, CANCELLED), "retrain"),
        ((FAILED, FAILED, CANCELLED), "retrain"),
        ((FAILED, CANCELLED, FAILED, FAILED, CANCELLED), "wait"),
        ((FAILED, FAILED, SUCCEEDED, CANCELLED, FAILED), "retrain"),
    ):
        situation = Situation("digits", NOW, [event()], RECIPE, row(*outcomes))
        found = decide(situation, replace(policy, daily=9))
        assert found is not None and found.verdict == verdict, (outcomes, found)


def test_after_failures_in_a_row_there_is_a_rest() -> None:
    failed = [training(FAILED, age=7200 + n, data=f"sha256:{n}") for n in range(3)]
    assert said(event(), trainings=failed) == ("wait", "repeated failures")
    assert said(event(), trainings=[training(FAILED, age=DAY + n, data=f"{n}") for n in range(3)])[0] == (
        "retrain"
    )


def test_a_no_of_the_gate_is_no_failure() -> None:
    refused = [training(REFUSED, age=7200 + n, data="sha256:data") for n in range(3)]
    assert said(event(), trainings=refused)[0] == "retrain"


def test_the_same_again_is_refused_with_what_there_is_and_what_helps() -> None:
    made = {RECIPE.key: "run 3f made version 7"}
    assert said(event(), made=made) == ("refuse", "novelty")
    found = decide(Situation("digits", NOW, [event("drift")], RECIPE, made=made), POLICY)
    assert found is not None
    assert "version 7" in found.reason
    assert "label" in found.reason
    assert said(event("manual", force=True), made=made)[0] == "retrain"
    assert said(event("manual"), made=made) == ("refuse", "novelty")


def test_after_a_training_there_is_a_cooldown_except_by_hand() -> None:
    just = [training(age=600)]
    assert said(event(), trainings=just) == ("wait", "cooldown")
    assert said(event("manual"), trainings=just)[0] == "retrain"


def test_budgets_of_one_and_of_all() -> None:
    own = [training(age=20_000 + n) for n in range(POLICY.daily)]
    assert said(event(), trainings=own) == ("wait", "budget")
    assert said(event("manual", force=True), trainings=own) == ("wait", "budget")
    others = [training(age=20_000 + n, application="birds") for n in range(POLICY.daily_total)]
    assert said(event(), trainings=others) == ("wait", "budget")
    assert said(event(), trainings=[training(age=DAY + 1) for _ in range(50)])[0] == "retrain"


def test_a_push_that_was_overtaken_before_it_was_deployed_waits_no_longer() -> None:
    overtaken, newest = event("code", at=NOW - 2000, code="sha256:between"), event("code", code=RECIPE.code)
    found = decide(
        Situation("digits", NOW, [replace(overtaken, id=1), replace(newest, id=2)], RECIPE), POLICY
    )
    assert found is not None
    assert (found.verdict, found.events) == ("retrain", (1, 2))
    later = replace(overtaken, last=NOW - 900)
    assert said(later, newest) == ("wait", "code")


def test_code_that_is_pushed_and_not_deployed_is_awaited_and_holds_up_nothing_else() -> None:
    pushed = event("code", code="sha256:new")
    assert said(pushed) == ("wait", "code")
    found = decide(Situation("digits", NOW, [pushed, Event(2, "data", NOW - 900, NOW - 900)], RECIPE), POLICY)
    assert found is not None
    assert (found.verdict, found.events) == ("retrain", (2,))
    assert said(event("code", code=RECIPE.code))[0] == "retrain"


events = st.builds(
    Event,
    id=st.integers(1, 50),
    kind=st.sampled_from(KINDS),
    at=st.floats(0, NOW),
    last=st.floats(NOW - 5000, NOW),
    code=st.sampled_from(["", "sha256:code", "sha256:new"]),
    force=st.booleans(),
)
trainings = st.builds(
    training,
    outcome=st.sampled_from([RUNNING, SUCCEEDED, REFUSED, FAILED]),
    age=st.floats(0, 3 * DAY),
    application=st.sampled_from(["digits", "birds"]),
    data=st.sampled_from(["sha256:data", "sha256:before"]),
)
situations = st.builds(
    Situation,
    application=st.just("digits"),
    now=st.just(NOW),
    events=st.lists(events, max_size=8),
    recipe=st.sampled_from([RECIPE, Recipe(problem="away")]),
    trainings=st.lists(trainings, max_size=12),
    made=st.sampled_from([{}, {RECIPE.key: "run 1"}]),
    quarantined=st.sampled_from([{}, {RECIPE.data: "bad"}]),
)


@given(situations)
def test_no_history_breaks_a_rule(situation: Situation) -> None:
    found = decide(situation, POLICY)
    assert (found is None) == (not situation.events)
    if found is None:
        return
    assert found == decide(situation, POLICY)
    assert found.events
    assert set(found.events) <= {one.id for one in situation.events}
    assert found.until is None or found.until > situation.now
    if found.verdict == "retrain":
        forced = any(one.force for one in situation.events)
        assert budget_left(situation, POLICY) > 0
        assert not any(one.outcome == RUNNING and one.application == "digits" for one in situation.trainings)
        assert not situation.recipe.problem
        assert forced or situation.recipe.key not in situation.made
        assert forced or situation.recipe.data not in situation.quarantined
