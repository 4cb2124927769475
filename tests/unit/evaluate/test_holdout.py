from __future__ import annotations

import numpy as np
import pytest

from services.bundle.reader import read_bundle
from services.data.dataset import Item
from services.evaluate.holdout import Reply, answers_of, groups_of, score, truth_of
from services.serve.predictor import Predictor
from tests.support.bundles import digit_label, digit_png, tiny_audio_bundle, tiny_image_bundle, tone_wav


def item(name: str, content: bytes, *labels: str, group: str = "") -> Item:
    return Item(name, labels, group or name, "evaluation", "png", "0" * 64, content)


def test_every_item_is_answered_as_it_is_served_and_what_cannot_be_read_is_named(tmp_path):
    predictor = Predictor(read_bundle(tiny_image_bundle(tmp_path, temperature=2.0)))
    items = [item(str(index), digit_png(index), digit_label(index)) for index in range(40)]
    items[7] = item("broken", b"not a picture", "3")
    found = score(predictor, items, threads=2, latency_items=20)
    assert found.readable.sum() == 39
    assert isinstance(found.replies[7], str)
    assert len(found.latency_ms) == 20 and (found.latency_ms > 0).all()
    reply = found.replies[9]
    assert isinstance(reply, Reply)
    assert reply.calibrated == pytest.approx(predictor.predict(digit_png(9)).probabilities, abs=1e-5)
    assert reply.raw.max() > reply.calibrated.max()
    assert reply.features["pixels"] == 64


def test_a_long_sound_is_the_maximum_over_its_windows(tmp_path):
    predictor = Predictor(read_bundle(tiny_audio_bundle(tmp_path)))
    items = [item("both", tone_wav([400.0, 6000.0], 1.0), "low", "high")]
    reply = score(predictor, items, threads=1, latency_items=20).replies[0]
    assert isinstance(reply, Reply)
    assert reply.calibrated[0] > 0.9 and reply.calibrated[2] > 0.9


def test_truth_is_the_primary_label_or_all_of_them():
    items = [item("a", b"", "x", "y"), item("b", b"", "z"), item("c", b"", "unknown", "y")]
    labels = ["x", "y", "z"]
    single = truth_of(items, labels, multi_label=False)
    assert single.tolist() == [[True, False, False], [False, False, True], [False, False, False]]
    assert truth_of(items, labels, multi_label=True).sum(axis=1).tolist() == [2, 1, 1]


def test_columns_bring_another_order_of_labels_to_this_one(tmp_path):
    predictor = Predictor(read_bundle(tiny_image_bundle(tmp_path)))
    items = [item("0", digit_png(0), "0")]
    found = score(predictor, items, threads=1, latency_items=20)
    truth = np.zeros((1, 3), dtype=bool)
    moved = answers_of(found, truth, np.array([0]), multi_label=False, threshold=0.5, columns=[9, 0, -1])
    reply = found.replies[0]
    assert isinstance(reply, Reply)
    assert moved.probabilities[0].tolist() == [reply.calibrated[9], reply.calibrated[0], 0.0]


def test_groups_are_numbered_without_gaps():
    items = [item(name, b"", "x", group=group) for name, group in (("a", "q"), ("b", "p"), ("c", "q"))]
    assert groups_of(items).tolist() == [1, 0, 1]
