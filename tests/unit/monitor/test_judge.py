from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.judge import Policy, Question, judge, log_bet, pair
from services.monitor.simulate import Canary, judge_run

FINE = {"errors": {0: 2000}, "slow": {-1: 50, 0: 1900, 1: 50}}


def test_no_outcomes_are_not_enough() -> None:
    found = judge({})
    assert found.verdict == "not enough evidence"
    assert any("0 of at least 100" in reason for reason in found.reasons)


def test_a_good_canary_is_promoted() -> None:
    found = judge(FINE)
    assert found.verdict == "promote"
    assert {answer.state for answer in found.answers if answer.question.required} == {"fine"}


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ({"errors": {0: 900, 1: 100}}, "errors"),
        ({"slow": {-1: 10, 0: 400, 1: 120}}, "slow"),
        ({"disagreement": {0: 60, 1: 60}}, "disagreement"),
        ({"wrong": {-1: 5, 0: 50, 1: 60}}, "wrong"),
    ],
)
def test_a_bad_canary_is_rolled_back_whatever_else_is_fine(
    outcomes: dict[str, dict[int, int]], reason: str
) -> None:
    found = judge(FINE | outcomes)
    assert found.verdict == "roll back"
    assert found.reasons[0].startswith(f"{reason} is worse")


def test_between_the_bars_it_holds() -> None:
    assert judge(FINE | {"slow": {-1: 40, 0: 900, 1: 70}}).verdict == "hold"


def test_an_optional_question_with_few_outcomes_does_not_hold_a_promotion() -> None:
    assert judge(FINE | {"wrong": {0: 10}}).verdict == "promote"
    assert judge(FINE | {"wrong": {-1: 20, 0: 80, 1: 25}}).verdict == "hold"


def test_a_rollback_needs_its_minimum() -> None:
    assert judge({"errors": {1: 19}}).verdict == "not enough evidence"
    assert judge({"errors": {1: 20}}).verdict == "roll back"


def test_the_minimum_holds_for_promotions() -> None:
    assert judge(FINE, Policy(minimum=5000)).verdict == "not enough evidence"


@given(st.dictionaries(st.sampled_from([-1, 0, 1]), st.integers(0, 3000)), st.floats(-0.3, 0.3))
def test_no_bet_wins_against_a_mean_at_its_centre(counts: dict[int, int], centre: float) -> None:
    """Under the null each step of a bet has mean 1: the factor of one outcome, averaged over any law with that mean."""
    for sign in (1, -1):
        high = (1 + centre) / 2
        mean = high * math.exp(log_bet({1: 1}, centre, sign, -1.0, 1.0)) + (1 - high) * math.exp(
            log_bet({-1: 1}, centre, sign, -1.0, 1.0)
        )
        assert mean == pytest.approx(1.0)
    assert math.isfinite(log_bet(counts, centre, 1, -1.0, 1.0))


def test_what_is_no_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="errors"):
        judge({"errors": {2: 1}})
    with pytest.raises(ValueError, match="disagreement"):
        judge({"disagreement": {-1: 1}})
    with pytest.raises(ValueError, match="below the margin"):
        Question("x", 0.1, 0.1)


def test_requests_are_paired_inside_their_time() -> None:
    production = [(0, False), (1, True), (2, False), (100, False)]
    canary = [(1, True), (5, True), (250, True)]
    assert pair(production, canary, bucket=100) == Counter({1: 1, 0: 1})


def test_mistakes_are_as_rare_as_promised() -> None:
    random = np.random.default_rng(3)
    same = Counter(judge_run(random, Canary((0.01, 0.01), (0.05, 0.05)), most=2000)[0] for _ in range(60))
    assert same["roll back"] <= 8  # 5 % of 60 is 3; more than 8 has a chance of 0.4 %
    worse = Counter(judge_run(random, Canary((0.001, 0.011), (0.05, 0.05)), most=2000)[0] for _ in range(60))
    assert worse["promote"] <= 8
    assert judge_run(random, Canary((0.0, 1.0), (0.05, 0.05)))[0] == "roll back"


def test_the_answer_is_plain() -> None:
    body = judge({"errors": {1: 3000}}).as_dict()
    assert body["verdict"] == "roll back"
    assert all(math.isfinite(item["evidence_worse"]) for item in body["questions"])
