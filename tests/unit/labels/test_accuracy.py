"""The estimate of accuracy and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.wilson import wilson
from services.labels.accuracy import Draw, estimate


def test_nothing_said_is_no_estimate() -> None:
    assert estimate([]).as_dict() == {
        "estimate": None, "low": None, "high": None, "count": 0, "drawn": 0, "inputs": 0.0
    }  # fmt: skip
    assert estimate([Draw("w", 0.5, None)]).estimate is None


def test_equal_probabilities_are_a_plain_share() -> None:
    found = estimate([Draw("w", 0.1, n < 40) for n in range(50)])
    assert found.estimate == pytest.approx(0.8)
    assert (found.low, found.high) == pytest.approx(wilson(0.8, 50))
    assert found.inputs == pytest.approx(500)


def test_a_window_counts_by_its_inputs_not_by_its_draws() -> None:
    quiet = [Draw("night", 0.5, True) for _ in range(20)]
    busy = [Draw("day", 0.02, False) for _ in range(20)]
    found = estimate([*quiet, *busy])
    assert found.estimate == pytest.approx(40 / (40 + 1000))


def test_those_that_are_answered_stand_for_those_of_their_window_that_are_not() -> None:
    done = [Draw("a", 0.1, True)] * 5 + [Draw("a", 0.1, None)] * 15 + [Draw("b", 0.1, False)] * 20
    found = estimate(done)
    assert found.estimate == pytest.approx(0.5)
    assert (found.count, found.drawn) == (25, 40)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0.01, 1), st.sampled_from([True, False, None])),
        max_size=60,
    )
)
@settings(max_examples=200)
def test_the_estimate_lies_in_its_interval(rows: list[tuple[str, float, bool | None]]) -> None:
    found = estimate(Draw(*row) for row in rows)
    if found.estimate is not None:
        assert found.low is not None and found.high is not None
        assert 0 <= found.low <= found.estimate + 1e-9
        assert found.estimate - 1e-9 <= found.high <= 1


def test_it_is_not_biased_by_windows_of_different_size() -> None:
    random = np.random.default_rng(5)
    means = []
    for _ in range(300):
        draws = []
        for window, inputs, share in (("a", 2000, 0.95), ("b", 200, 0.5)):
            right = random.random(20) < share
            draws += [Draw(window, 20 / inputs, bool(one)) for one in right]
        means.append(estimate(draws).estimate)
    assert np.mean(means) == pytest.approx((0.95 * 2000 + 0.5 * 200) / 2200, abs=0.01)
