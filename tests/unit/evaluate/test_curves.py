from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluate.calibration import reliability
from services.evaluate.curves import (
    FEWEST,
    precision_recall_chart,
    reliability_chart,
    risk_coverage_chart,
    roc_chart,
)
from services.evaluate.metrics import Answers


def answers(items: int = 500) -> Answers:
    rng = np.random.default_rng(0)
    truth = np.eye(4, dtype=bool)[rng.integers(0, 4, items)]
    scores = rng.random((items, 4)) + truth
    return Answers(truth, scores / scores.sum(axis=1, keepdims=True))


def test_points_are_few_finite_and_within_the_chart():
    found = answers(5000)
    before = reliability(found)
    charts = [
        precision_recall_chart(found),
        roc_chart(found),
        risk_coverage_chart(found),
        reliability_chart(before, before),
    ]
    for chart in charts:
        for line in chart.lines:
            assert 1 <= len(line.x) == len(line.y) <= 200
            assert all(0 <= x <= 1 for x in line.x)
            assert all(0 <= y <= chart.y_top for y in line.y), chart.title


def test_risk_ends_at_the_share_of_wrong_answers():
    found = answers()
    line = risk_coverage_chart(found).lines[0]
    assert line.x[-1] == 1.0
    assert line.y[-1] == np.round(1 - found.hits.mean(), 4)


def test_empty_bins_are_not_drawn():
    sure = Answers(np.eye(2, dtype=bool), np.eye(2))
    line = reliability_chart(reliability(sure), reliability(sure)).lines[0]
    assert (line.x, line.y) == ([1.0], [1.0])


@given(st.integers(0, 10_000), st.integers(1, 400), st.booleans())
def test_few_answers_are_drawn_together_and_none_is_lost(seed, items, multi_label):
    rng = np.random.default_rng(seed)
    found = reliability(
        Answers(rng.random((items, 3)) < 0.3, rng.random((items, 3)), multi_label=multi_label)
    )
    line = reliability_chart(found, found).lines[1]
    assert sum(line.counts) == found.counts.sum()
    assert min(line.counts) >= FEWEST or len(line.counts) == 1
    assert line.x == sorted(line.x)
    full = found.counts > 0
    for drawn, values in ((line.x, found.said), (line.y, found.happened)):
        assert np.average(drawn, weights=line.counts) == pytest.approx(
            np.average(values[full], weights=found.counts[full])
        )


def test_bins_with_enough_answers_are_drawn_as_they_are():
    rng = np.random.default_rng(0)
    found = reliability(Answers(rng.random((20_000, 2)) < 0.5, rng.random((20_000, 2)), multi_label=True))
    line = reliability_chart(found, found).lines[0]
    assert line.counts == found.counts.tolist()
    assert line.x == found.said.tolist()
