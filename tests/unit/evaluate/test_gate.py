from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluate.bootstrap import Interval
from services.evaluate.gate import ClassRow, Comparison, Measured, judge
from services.evaluate.policy import ClassFloors, Floors, NoWorse, Policy


def row(label: str, value: float, support: int = 50) -> ClassRow:
    return ClassRow(label, support, support, value, value, value, value, 100)


def compared(difference: float, low: float, high: float) -> Comparison:
    production = 0.9
    return Comparison(
        "4",
        "sha256:" + "0" * 64,
        "accuracy",
        300,
        production + difference,
        production,
        difference,
        Interval(low, high),
    )


GOOD = Measured(
    metrics={"accuracy": 0.97, "macro_f1": 0.96},
    classes=[row("a", 0.9), row("b", 0.95)],
    ece=0.03,
    p95_ms=8.0,
    bundle_bytes=1_000_000,
    holdout=360,
    comparison=compared(0.01, -0.005, 0.03),
    lost_labels=[],
)
POLICY = Policy(
    floors=Floors(accuracy=0.93, macro_f1=0.9),
    class_floors=ClassFloors(recall=0.8),
    no_worse=NoWorse(metric="accuracy", margin=0.02),
    max_bundle_mb=20.0,
    max_p95_ms=50.0,
    max_ece=0.1,
    minimum_holdout=100,
)


def test_a_good_model_is_accepted_and_every_check_is_told():
    verdict = judge(POLICY, GOOD)
    assert verdict.decision == "accepted"
    assert verdict.reasons == []
    assert [check.name for check in verdict.checks] == [
        "holdout items",
        "accuracy",
        "macro_f1",
        "recall of every class",
        "accuracy against production",
        "labels",
        "bundle size in MB",
        "p95 latency in ms",
        "expected calibration error",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metrics": {"accuracy": 0.9299, "macro_f1": 0.96}}, "accuracy 0.9299 is below 0.93"),
        ({"metrics": {"accuracy": 0.95}}, "macro_f1 cannot be computed"),
        ({"classes": [row("a", 0.9), row("b", 0.5)]}, "recall is below 0.8 in 'b' (0.5)"),
        ({"ece": 0.2}, "expected calibration error 0.2 is over 0.1"),
        ({"ece": math.nan}, "expected calibration error cannot be computed"),
        ({"p95_ms": 51.0}, "p95 latency in ms 51 is over 50"),
        ({"bundle_bytes": 20_000_001}, "bundle size in MB 20 is over 20"),
        ({"holdout": 99}, "holdout items 99 is below 100"),
        ({"comparison": compared(-0.01, -0.018, -0.002)}, "worse than production beyond chance"),
        ({"comparison": compared(-0.03, -0.07, 0.01)}, "below production by more than 0.02"),
        ({"comparison": compared(math.nan, math.nan, math.nan)}, "cannot be compared"),
        ({"lost_labels": ["wren"]}, "labels that the version in production knows are missing: 'wren'"),
        ({"lost_labels": list("abcdefg")}, "missing: 'a', 'b', 'c', 'd', 'e' and 2 more"),
    ],
)
def test_each_bound_refuses_with_its_reason(change, reason):
    verdict = judge(POLICY, replace(GOOD, **change))
    assert verdict.decision == "refused"
    assert len(verdict.reasons) == 1
    assert reason in verdict.reasons[0]


@pytest.mark.parametrize("comparison", [None, compared(0, 0, 0), compared(-0.02, -0.05, 0.0)])
def test_no_worse_than_production(comparison):
    assert judge(POLICY, replace(GOOD, comparison=comparison)).decision == "accepted"


def test_labels_are_lost_only_where_the_policy_allows_it():
    fewer = replace(GOOD, lost_labels=["wren"])
    check = next(c for c in judge(POLICY, fewer).checks if c.name == "labels")
    assert (check.value, check.bound, check.passed) == (1, 0, False)
    allowed = POLICY.model_copy(update={"allow_fewer_labels": True})
    assert judge(allowed, fewer).decision == "accepted"
    assert judge(POLICY, replace(GOOD, lost_labels=None)).decision == "accepted"
    assert judge(POLICY.model_copy(update={"no_worse": None}), fewer).decision == "refused"


def test_a_class_with_few_items_is_not_judged_and_none_at_all_is_said():
    classes = [row("rare", 0.0, support=9)]
    verdict = judge(POLICY, replace(GOOD, classes=classes))
    assert verdict.decision == "accepted"
    assert "no class has the 10 items" in verdict.checks[3].detail


def test_a_class_never_predicted_has_the_lowest_precision():
    never = replace(row("a", 0.9), precision=math.nan)
    policy = Policy(class_floors=ClassFloors(precision=0.1))
    verdict = judge(policy, replace(GOOD, classes=[never]))
    assert verdict.reasons == ["precision is below 0.1 in 'a' (0)"]


def test_all_failures_are_told_at_once():
    verdict = judge(POLICY, replace(GOOD, holdout=1, ece=1.0, p95_ms=900.0))
    assert len(verdict.reasons) == 3


share = st.floats(0, 1)
signed = st.floats(-0.2, 0.2)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Measured, Measured]:
    """A model, and one that is at least as good in everything."""
    worse = Measured(
        metrics={"accuracy": draw(share), "macro_f1": draw(share)},
        classes=[row("a", draw(share)), row("b", draw(share))],
        ece=draw(share),
        p95_ms=draw(st.floats(0, 100)),
        bundle_bytes=draw(st.integers(0, 40_000_000)),
        holdout=draw(st.integers(0, 200)),
        comparison=None,
    )
    difference, low, high = draw(signed), draw(signed), draw(signed)
    low, high = min(low, high), max(low, high)
    gain = draw(st.floats(0, 0.2))
    better = Measured(
        metrics={name: draw(st.floats(value, 1)) for name, value in worse.metrics.items()},
        classes=[row(r.label, draw(st.floats(r.recall, 1))) for r in worse.classes],
        ece=draw(st.floats(0, worse.ece)),
        p95_ms=draw(st.floats(0, worse.p95_ms)),
        bundle_bytes=draw(st.integers(0, worse.bundle_bytes)),
        holdout=draw(st.integers(worse.holdout, 400)),
        comparison=compared(difference + gain, low + gain, high + gain),
    )
    return replace(worse, comparison=compared(difference, low, high)), better


@settings(deadline=None, max_examples=300)
@given(pairs(), share, share, share, share, st.floats(0, 0.2))
def test_a_better_model_is_never_refused_where_a_worse_one_is_accepted(
    both, accuracy, f1, recall, ece, margin
):
    policy = Policy(
        floors=Floors(accuracy=accuracy, macro_f1=f1),
        class_floors=ClassFloors(recall=recall),
        no_worse=NoWorse(metric="accuracy", margin=margin),
        max_bundle_mb=20.0,
        max_p95_ms=50.0,
        max_ece=ece,
        minimum_holdout=100,
    )
    worse, better = (judge(policy, measured) for measured in both)
    for low, high in zip(worse.checks, better.checks, strict=True):
        assert high.passed or not low.passed, high.detail
