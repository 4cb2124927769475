from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.histogram import LATENCY_EDGES, count_between, quantile

numbers = st.lists(st.floats(-1e6, 1e6, allow_nan=False), max_size=200)


@given(numbers, st.floats(-100, 100), st.floats(0.1, 100), st.integers(1, 40))
def test_counts_are_those_of_numpy(values: list[float], low: float, width: float, bins: int) -> None:
    edges = np.linspace(low, low + width, bins + 1)
    expected, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    np.testing.assert_array_equal(count_between(np.array(values), edges), expected)


@given(numbers)
def test_uneven_edges_too(values: list[float]) -> None:
    edges = np.array([-1000.0, -1.0, 0.0, 0.5, 200.0])
    expected, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    np.testing.assert_array_equal(count_between(np.array(values), edges), expected)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=50))
def test_values_on_the_edges_fall_where_numpy_puts_them(steps: list[int]) -> None:
    edges = np.round(np.linspace(0, 1, 21), 6)
    values = edges[steps]
    np.testing.assert_array_equal(count_between(values, edges), np.histogram(values, edges)[0])


def test_the_sum_of_parts_is_the_whole_and_nan_counts_nowhere() -> None:
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    values[::1000] = np.nan
    edges = np.linspace(-3, 3, 21)
    whole = count_between(values, edges)
    assert whole.sum() == 199_800
    np.testing.assert_array_equal(
        whole, count_between(values[:777], edges) + count_between(values[777:], edges)
    )


def test_infinite_values_count_in_the_outermost_bins() -> None:
    assert count_between(np.array([-np.inf, np.inf]), np.array([0.0, 1.0, 2.0])).tolist() == [1, 1]


def test_a_quantile_lies_in_its_bin() -> None:
    seconds = np.random.default_rng(0).lognormal(-4, 0.5, 10_000)
    found = quantile(count_between(seconds, LATENCY_EDGES), LATENCY_EDGES, 0.95)
    assert abs(found / np.quantile(seconds, 0.95) - 1) < 0.05
    assert np.isnan(quantile(np.zeros(len(LATENCY_EDGES) - 1, np.int64), LATENCY_EDGES, 0.5))
