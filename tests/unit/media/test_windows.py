from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.media.windows import count_windows, split_windows


@given(
    count=st.integers(1, 5_000),
    rate=st.integers(50, 500),
    window=st.floats(0.1, 3.0),
    share=st.floats(0.05, 1.0),
)
def test_windows_cover_everything(count: int, rate: int, window: float, share: float) -> None:
    samples = np.arange(1, count + 1, dtype=np.float32)
    hop = max(1 / rate, window * share)
    starts, windows = split_windows(samples, rate, window, hop)
    length = round(window * rate)
    assert {values.shape for values in windows} == {(length,)} and len(windows) == len(starts)
    assert len(windows) == 1 or all(values.all() for values in windows)
    covered = np.zeros(count, bool)
    for start, values in zip(starts, windows, strict=True):
        first = round(start * rate)
        inside = samples[first : first + length]
        np.testing.assert_array_equal(values[: len(inside)], inside)
        assert not values[len(inside) :].any()
        covered[first : first + length] = True
    assert (~covered).sum() <= 0.01 * length
    assert starts == sorted(set(starts))


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.1, 1), (5.0, 1), (5.04, 1), (5.06, 2), (10.0, 2), (10.03, 2), (12.0, 3)]
)
def test_short_tails_of_codecs_get_no_window(seconds: float, expected: int) -> None:
    starts, _ = split_windows(np.ones(round(seconds * 1000), np.float32), 1000, 5.0, 5.0)
    assert len(starts) == expected == count_windows(round(seconds * 1000), 5000, 5000)


def test_the_last_window_ends_with_the_recording() -> None:
    starts, windows = split_windows(np.arange(1, 1201, dtype=np.float32), 100, 5.0, 5.0)
    assert starts == [0, 5, 7]
    assert windows[-1][-1] == 1200
    _, (padded,) = split_windows(np.ones(300, np.float32), 100, 5.0, 5.0)
    assert (padded.sum(), len(padded)) == (300, 500)


def test_windows_of_a_long_recording_share_its_memory() -> None:
    samples = np.ones(1_000_000, np.float32)
    _, windows = split_windows(samples, 1000, 100.0, 0.1)
    assert sum(window.nbytes for window in windows) > 100 * samples.nbytes
    assert all(np.shares_memory(window, samples) for window in windows)


@pytest.mark.parametrize("hop", [0.0, 2.5, -1.0])
def test_a_hop_that_leaves_gaps_is_refused(hop: float) -> None:
    with pytest.raises(InvalidInput, match="hop"):
        split_windows(np.ones(100, np.float32), 100, 2.0, hop)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no samples"):
        split_windows(np.zeros(0, np.float32), 100, 2.0, 1.0)
