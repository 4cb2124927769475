from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from services.evaluate.calibration import probabilities, reliability
from services.evaluate.metrics import Answers


def test_honest_probabilities_have_a_small_error_and_doubled_logits_a_large_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    honest = softmax(logits, axis=1)
    true = np.array([rng.choice(5, p=row) for row in honest])
    truth = np.eye(5, dtype=bool)[true]
    assert reliability(Answers(truth, honest)).ece < 0.02
    assert reliability(Answers(truth, softmax(3 * logits, axis=1))).ece > 0.1


def test_ece_of_a_case_done_by_hand():
    truth = np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    found = reliability(Answers(truth, said), bins=10)
    assert found.counts.sum() == 4
    assert found.ece == pytest.approx(0.75 * abs(2 / 3 - 0.9) + 0.25 * abs(1 - 0.7))


def test_multi_label_counts_every_answer():
    truth = np.array([[True, False, False]])
    found = reliability(Answers(truth, np.array([[1.0, 0.0, 0.0]]), multi_label=True))
    assert found.counts.sum() == 3
    assert found.counts[-1] == 1
    assert found.ece == 0


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 10))
def test_probabilities_are_softmax_and_sigmoid_of_divided_logits(seed, temperature):
    logits = np.random.default_rng(seed).normal(0, 30, (4, 3))
    soft = probabilities(logits, temperature, multi_label=False)
    assert np.allclose(soft, softmax(logits / temperature, axis=1))
    assert np.allclose(probabilities(logits, temperature, multi_label=True), expit(logits / temperature))
