from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.data.dataset import Item
from services.train.features import Split
from services.train.hyperparameters import Hyperparameters
from services.train.targets import class_weights, item_targets, shuffle_labels, training_windows


def _item(name: str, *labels: str) -> Item:
    return Item(name, labels, name, "training", "wav", "0" * 64, b"")


def test_secondary_labels_count_for_multi_label_only_and_unknown_ones_not_at_all() -> None:
    items = [_item("a", "wren", "robin", "owl"), _item("b", "robin")]
    assert item_targets(items, ["robin", "wren"], multi_label=False).tolist() == [[0, 1], [1, 0]]
    assert item_targets(items, ["robin", "wren"], multi_label=True).tolist() == [[1, 1], [1, 0]]


@given(st.integers(1, 200), st.floats(0, 1), st.integers(0, 99))
def test_shuffling_keeps_the_counts_and_touches_no_more_than_its_share(
    n: int, share: float, seed: int
) -> None:
    targets = np.eye(5, dtype=np.float32)[np.arange(n) % 5]
    shuffled = shuffle_labels(targets, share, seed)
    assert (shuffled.sum(axis=0) == targets.sum(axis=0)).all()
    assert (shuffled != targets).any(axis=1).sum() <= round(n * share)


def test_quiet_windows_of_a_recording_are_left_out() -> None:
    windows = np.full((4, 1, 2, 3), -90, np.float32)
    windows[1, 0, 1, 1], windows[2, 0, 0, 0] = -10, -25
    split = Split(windows, np.array([0, 0, 0, 1]), [_item("a", "x"), _item("b", "x")], {})
    assert training_windows(split, Hyperparameters(), sound=True).tolist() == [1, 2, 3]
    assert training_windows(split, Hyperparameters(), sound=False).tolist() == [0, 1, 2, 3]


def test_max_items_takes_whole_items() -> None:
    split = Split(
        np.zeros((20, 1, 1, 1), np.float32),
        np.repeat(np.arange(10), 2),
        [_item(str(i), "x") for i in range(10)],
        {},
    )
    chosen = training_windows(split, Hyperparameters(max_items=3), sound=False)
    assert len(chosen) == 6
    assert len(np.unique(split.item_of[chosen])) == 3


def test_rare_classes_weigh_more_but_the_mean_over_items_stays_one() -> None:
    targets = np.eye(2, dtype=np.float32)[[0] * 90 + [1] * 10]
    weights = class_weights(targets, "balanced")
    assert weights[1] / weights[0] == pytest.approx(3)
    assert (targets @ weights).mean() == pytest.approx(1)
    assert class_weights(targets, "none").tolist() == [1, 1]
