from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from services.train.scoring import average_precision, by_item, probabilities, score


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=2, max_size=6), st.floats(0.05, 20))
def test_probabilities_are_finite_and_sum_to_one(row: list[float], temperature: float) -> None:
    found = probabilities(np.array([row], np.float32), multi_label=False, temperature=temperature)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    single = probabilities(np.array([row], np.float32), multi_label=True, temperature=temperature)
    assert ((single >= 0) & (single <= 1)).all()


def test_an_item_counts_with_its_highest_window() -> None:
    windows = np.array([[0.1, 0.9], [0.6, 0.2], [0.3, 0.3]], np.float32)
    assert by_item(windows, np.array([0, 0, 1]), 2) == pytest.approx(np.array([[0.6, 0.9], [0.3, 0.3]]))


def test_scores_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(3)
    found = random.random((200, 5)).astype(np.float32)
    targets = (random.random((200, 5)) < 0.3).astype(np.float32)
    expected = average_precision_score(targets, found, average="macro")
    scores = score(found, targets, multi_label=True)
    assert scores["map"] == pytest.approx(expected, abs=1e-6)
    assert scores["macro_f1"] == pytest.approx(f1_score(targets, found >= 0.5, average="macro"), abs=1e-6)
    truth = random.integers(0, 5, 200)
    single = score(found, np.eye(5, dtype=np.float32)[truth], multi_label=False)
    assert single["macro_f1"] == pytest.approx(f1_score(truth, found.argmax(1), average="macro"), abs=1e-6)
    assert single["accuracy"] == pytest.approx((truth == found.argmax(1)).mean())


def test_equal_probabilities_earn_no_precision_by_luck() -> None:
    assert average_precision(np.full(4, 0.5, np.float32), np.array([1, 0, 0, 0], np.float32)) == 0.25
