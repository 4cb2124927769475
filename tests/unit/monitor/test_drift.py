from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.drift import chi_square, compare, holm, judge, overall
from services.monitor.histogram import count_between

EDGES = np.linspace(-4, 4, 21)


def sample(mean: float, count: int, seed: int = 0, deviation: float = 1.0) -> np.ndarray:
    return count_between(np.random.default_rng(seed).normal(mean, deviation, count), EDGES)


def test_wasserstein_and_ks_are_those_of_scipy() -> None:
    from scipy.stats import ks_2samp, wasserstein_distance

    random = np.random.default_rng(1)
    before, after = random.normal(0, 1, 20_000), random.normal(0.5, 1, 20_000)
    effect = compare(count_between(before, EDGES), count_between(after, EDGES), EDGES.tolist())
    assert effect.wasserstein == pytest.approx(wasserstein_distance(before, after) / before.std(), abs=0.02)
    assert effect.ks == pytest.approx(ks_2samp(before, after).statistic, abs=0.01)
    assert effect.ks <= ks_2samp(before, after).statistic


def test_the_test_is_that_of_scipy_where_no_bins_are_joined() -> None:
    from scipy.stats import chi2_contingency

    table = np.array([[50, 60, 70], [80, 60, 40]])
    expected = chi2_contingency(table, correction=False).pvalue
    assert chi_square(table[0], table[1], ordered=True) == pytest.approx(expected)
    assert chi_square(table[0], table[1], ordered=False) == pytest.approx(expected)


def test_equal_shares_are_no_distance() -> None:
    effect = compare(np.array([10, 20]), np.array([100, 200]), None)
    assert effect.total_variation == pytest.approx(0)
    assert effect.p_value == pytest.approx(1)
    assert np.isnan(effect.wasserstein)


def test_disjoint_histograms_are_as_far_apart_as_can_be() -> None:
    effect = compare(np.array([1000, 0]), np.array([0, 1000]), [0, 1, 2])
    assert effect.total_variation == effect.ks == 1
    assert effect.p_value < 1e-300
    assert effect.psi > 10


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_never_lowers_and_keeps_the_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(new >= old and new <= 1 for new, old in zip(adjusted, values, strict=True))
    order = np.argsort(values, kind="stable")
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_shift_is_found_and_no_shift_is_not() -> None:
    edges = EDGES.tolist()
    pairs = {
        "same": (sample(0, 2000, 1), sample(0, 2000, 2), edges),
        "shifted": (sample(0, 2000, 3), sample(1, 2000, 4), edges),
        "wider": (sample(0, 2000, 5), sample(0, 2000, 6, deviation=2), edges),
    }
    found = {finding.name: finding.state for finding in judge(pairs)}
    assert found == {"same": "steady", "shifted": "drift", "wider": "drift"}


def test_what_is_certain_but_tiny_is_no_drift() -> None:
    before, after = sample(0, 2_000_000, 1), sample(0.03, 2_000_000, 2)
    (finding,) = judge({"x": (before, after, EDGES.tolist())})
    assert finding.adjusted is not None and finding.adjusted < 1e-20
    assert finding.state == "steady"


@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 3, 0]])
def test_empty_and_small_windows_are_not_judged(counts: list[int]) -> None:
    (finding,) = judge({"x": (np.array([100, 100, 100]), np.array(counts), [0, 1, 2, 3])})
    assert finding.state == "not enough evidence"
    assert "50 are needed" in finding.note
    assert overall([finding]) == "not enough evidence"
    assert finding.as_dict()["adjusted_p_value"] is None


def test_a_constant_window_is_drift_and_said_to_be_constant() -> None:
    (finding,) = judge({"x": (np.array([300, 400, 300]), np.array([0, 500, 0]), [0, 1, 2, 3])})
    assert finding.state == "drift"
    assert "constant" in finding.note


def test_constant_then_and_now_is_steady() -> None:
    (finding,) = judge({"width": (np.array([0, 400, 0]), np.array([0, 500, 0]), [0, 1, 2, 3])})
    assert finding.state == "steady"
    assert overall([finding]) == "steady"


def test_other_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="same bins"):
        compare(np.array([1, 2]), np.array([1, 2, 3]), None)


def test_false_alarms_are_rarer_than_said() -> None:
    from services.monitor.simulate import drift_run

    random = np.random.default_rng(0)
    alone = sum(drift_run(random, 1000, 1000, 0.0, large=0.0) for _ in range(300))
    assert alone <= 10  # 1 % of 300 is 3; more than 10 has a chance of 0.03 %
    assert sum(drift_run(random, 1000, 1000, 0.0) for _ in range(100)) == 0
    assert sum(drift_run(random, 1000, 1000, 1.0) for _ in range(20)) == 20


def test_looks_at_a_sliding_day_are_counted_once_and_much_traffic_is_seldom_wrong() -> None:
    from services.monitor.simulate import watch_run

    random = np.random.default_rng(0)
    assert not watch_run(random, 1000, 0, 2), "no predictions are no evidence"
    assert not any(watch_run(random, 1000, 40, 2) for _ in range(3))
    assert any(watch_run(random, 200, 4, 2) for _ in range(60))
