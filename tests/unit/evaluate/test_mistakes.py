from __future__ import annotations

import numpy as np

from services.evaluate.metrics import Answers
from services.evaluate.mistakes import _start, worst_rows


def test_the_surest_mistakes_come_first():
    truth = np.eye(2, dtype=bool)[[0, 0, 0, 1]]
    said = np.array([[0.4, 0.6], [0.05, 0.95], [0.9, 0.1], [0.2, 0.8]])
    assert worst_rows(Answers(truth, said), 10).tolist() == [1, 0]
    assert worst_rows(Answers(truth, said), 1).tolist() == [1]


def test_multi_label_counts_missed_and_wrong_labels():
    truth = np.array([[True, False], [True, False], [False, False]])
    said = np.array([[0.1, 0.2], [0.9, 0.8], [0.1, 0.2]])
    assert worst_rows(Answers(truth, said, multi_label=True), 10).tolist() == [0, 1]


def test_no_mistake_is_no_row():
    truth = np.eye(2, dtype=bool)
    assert worst_rows(Answers(truth, truth.astype(float)), 5).tolist() == []


def test_the_loudest_part_of_a_long_sound_is_shown():
    samples = np.zeros(100, np.float32)
    samples[60:70] = 1.0
    assert _start(samples, 10) == 60
    assert _start(samples[:5], 10) == 0
