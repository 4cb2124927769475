"""What the network is to answer: targets of windows, their weights, and the choice of windows to train on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.data.dataset import Item
from services.train.features import Split
from services.train.hyperparameters import Hyperparameters

_QUIET_DB = 20.0


def item_targets(items: Sequence[Item], labels: Sequence[str], *, multi_label: bool) -> NDArray[np.float32]:
    """float32 [items, classes] of zeros and ones: the primary label, or all labels for multi-label."""
    index = {label: number for number, label in enumerate(labels)}
    targets = np.zeros((len(items), len(labels)), np.float32)
    for row, item in enumerate(items):
        for label in item.labels if multi_label else item.labels[:1]:
            if label in index:
                targets[row, index[label]] = 1.0
    return targets


def shuffle_labels(targets: NDArray[np.float32], share: float, seed: int) -> NDArray[np.float32]:
    """The targets with the rows of a share of the items permuted among these."""
    random = np.random.default_rng([seed, 1])
    chosen = random.permutation(len(targets))[: round(len(targets) * share)]
    shuffled = targets.copy()
    shuffled[chosen] = targets[random.permutation(chosen)]
    return shuffled


def training_windows(split: Split, hyper: Hyperparameters, *, sound: bool) -> NDArray[np.int64]:
    """Indices of the windows to train on: of at most `max_items` items; of a recording not the quiet windows.

    A recording carries one label for its whole length. Windows whose loudest band stays 20 dB under that of the
    whole recording hold nothing of the species.
    """
    keep = np.ones(len(split.item_of), bool)
    if 0 < hyper.max_items < len(split.items):
        items = np.random.default_rng([hyper.seed, 2]).permutation(len(split.items))[: hyper.max_items]
        keep &= np.isin(split.item_of, items)
    if sound:
        peaks = split.windows.max(axis=(1, 2, 3))
        loudest = np.full(len(split.items), -np.inf, np.float32)
        np.maximum.at(loudest, split.item_of, peaks)
        keep &= peaks >= loudest[split.item_of] - _QUIET_DB
    return np.flatnonzero(keep)


def class_weights(targets: NDArray[np.float32], choice: str) -> NDArray[np.float32]:
    """float32 [classes] with mean 1 over the items: one each, or the square root of the rarity of a class."""
    counts = targets.sum(axis=0)
    if choice == "none":
        return np.ones(len(counts), np.float32)
    weights = np.sqrt(counts.mean() / np.maximum(counts, 1.0))
    scaled: NDArray[np.float32] = (weights / ((weights * counts).sum() / counts.sum())).astype(np.float32)
    return scaled
