"""Wilson's interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from services.common.wilson import wilson


@given(st.integers(1, 400), st.data())
def test_it_is_scipys(count: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, count))
    theirs = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson(right / count, count) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.floats(0, 1), st.floats(0.01, 1e6), st.floats(0.1, 5))
def test_it_holds_the_share_and_narrows_with_more_cases(share: float, count: float, z: float) -> None:
    low, high = wilson(share, count, z)
    assert 0 <= low <= share + 1e-9 and share - 1e-9 <= high <= 1
    more = wilson(share, 4 * count, z)
    assert more[1] - more[0] <= high - low + 1e-9


@given(st.floats(0, 1), st.floats(0.01, 1e6))
def test_right_and_wrong_are_mirrored(share: float, count: float) -> None:
    low, high = wilson(share, count)
    assert wilson(1 - share, count) == pytest.approx((1 - high, 1 - low), abs=1e-9)
