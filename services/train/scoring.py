"""Validation scores of items: a recording counts once, with the highest probability over its windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def probabilities(logits: Floats, *, multi_label: bool, temperature: float = 1.0) -> Floats:
    """Sigmoid, or softmax over the last axis, of logits / temperature; float32 of the same shape."""
    scaled = logits.astype(np.float64) / temperature
    if multi_label:
        return (1 / (1 + np.exp(-np.clip(scaled, -60, 60)))).astype(np.float32)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    found: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def by_item(values: Floats, item_of: NDArray[np.int64], items: int) -> Floats:
    """The maximum over the windows of each item, along the first axis."""
    highest = np.full((items, *values.shape[1:]), -np.inf, np.float32)
    np.maximum.at(highest, item_of, values)
    return highest


def score(found: Floats, targets: Floats, *, multi_label: bool) -> dict[str, float]:
    """Accuracy of the likeliest label and macro F1; for multi-label also macro average precision (mAP).

    Args:
        found: probabilities, float32 [items, classes].
        targets: zeros and ones, float32 [items, classes].
    """
    best = found.argmax(axis=1)
    hits = targets[np.arange(len(found)), best]
    answers = (found >= 0.5).astype(np.float32) if multi_label else np.eye(targets.shape[1])[best]
    present = targets.sum(axis=0) > 0
    right = (answers * targets).sum(axis=0)
    total = answers.sum(axis=0) + targets.sum(axis=0)
    f1 = 2 * right / np.maximum(total, 1)
    scores = {"accuracy": float(hits.mean()), "macro_f1": float(f1[present].mean())}
    if multi_label:
        columns = np.flatnonzero(present)
        scores["map"] = float(np.mean([average_precision(found[:, c], targets[:, c]) for c in columns]))
    return scores


def average_precision(found: Floats, targets: Floats) -> float:
    """Mean of the precision at each positive item, items ordered by probability; equal ones in the worst order."""
    order = np.lexsort((targets, -found))
    hits = targets[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())
