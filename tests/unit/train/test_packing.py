from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.train.packing import best_threshold, histogram, references


@given(arrays(np.float32, st.integers(1, 80), elements=st.floats(-1e6, 1e6, width=32)))
def test_a_histogram_counts_every_value_once(values: np.ndarray) -> None:
    made = histogram(values, np.linspace(-10, 10, 21))
    assert sum(made.counts) == len(values)


def test_references_describe_answers_and_inputs() -> None:
    found = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    features = {"brightness": np.array([0.1, 0.2, 0.3], np.float32), "width": np.full(3, 8, np.float32)}
    made = references(found, np.array([0.1, 0.2, 9], np.float32), features, 0.5)
    assert set(made) == {"confidence", "novelty", "label", "brightness", "width"}
    assert made["label"].counts == [2, 1]
    assert made["novelty"].counts[-1] == 1
    assert all(sum(histogram.counts) == 3 for histogram in made.values())


def test_the_threshold_is_where_f1_is_best() -> None:
    found = np.array([[0.3, 0.25], [0.35, 0.1], [0.05, 0.32]], np.float32)
    targets = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert best_threshold(found, targets) == pytest.approx(0.3, abs=0.01)
