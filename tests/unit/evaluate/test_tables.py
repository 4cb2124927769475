from __future__ import annotations

import numpy as np
import pytest

from services.evaluate.metrics import Answers
from services.evaluate.tables import AUDIO, IMAGE, class_rows, rare_classes, slice_rows


def answers(true: list[int], said: list[int], classes: int = 3) -> Answers:
    return Answers(np.eye(classes, dtype=bool)[true], 0.05 + 0.85 * np.eye(classes)[said])


def test_one_row_for_each_class_even_the_empty_ones():
    rows = class_rows(answers([0, 0, 1], [0, 1, 1]), ["a", "b", "c"], {"a": 9, "b": 4})
    assert [(row.label, row.support, row.predicted, row.training) for row in rows] == [
        ("a", 2, 1, 9),
        ("b", 1, 2, 4),
        ("c", 0, 0, 0),
    ]
    assert (rows[0].recall, rows[0].precision, rows[0].f1) == (0.5, 1.0, pytest.approx(2 / 3))
    assert rows[1].precision == 0.5
    assert np.isnan(rows[2].recall) and np.isnan(rows[2].average_precision)


def test_thirds_cover_every_item_once():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 100).tolist()
    features = {"duration_seconds": rng.random(100) * 60, "loudness_dbfs": -rng.random(100) * 40}
    rows = slice_rows(answers(truth, truth), features, AUDIO, np.array([], dtype=np.int64))
    for family in ("length", "loudness"):
        assert sum(row.items for row in rows if row.family == family) == 100
    assert all(row.accuracy == 1.0 and row.interval.low < 1.0 for row in rows)
    assert rows[0].name.startswith("up to") and rows[0].name.endswith(" s")


def test_pictures_of_one_size_are_one_slice():
    features = {"pixels": np.full(4, 64.0), "brightness": np.array([0.1, 0.2, 0.3, 0.4])}
    rows = slice_rows(answers([0, 1, 2, 0], [0, 1, 2, 1]), features, IMAGE, np.array([], dtype=np.int64))
    assert [(row.name, row.items) for row in rows if row.family == "size"] == [("all 64 pixels", 4)]
    assert rows[-1].accuracy == 0.0


def test_rare_classes_have_fewer_than_half_of_the_median():
    counts = {"a": 100, "b": 100, "c": 49, "d": 51}
    rare = rare_classes(["a", "b", "c", "d"], counts)
    assert rare.tolist() == []
    assert rare_classes(["a", "b", "c", "x"], counts).tolist() == [3]
    rows = slice_rows(answers([0, 1, 1], [0, 1, 2]), {}, IMAGE, np.array([0]))
    assert [(row.name, row.items, row.accuracy) for row in rows] == [
        ("with a rare class", 1, 1.0),
        ("without one", 2, 0.5),
    ]
