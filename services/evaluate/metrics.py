"""Scores of a classifier on a holdout, for any number of weightings of its items at once.

One weighting of ones gives the point value, B weightings give a bootstrap: the same code for both. The
definitions are those of scikit-learn (held against it by tests), with weights as `sample_weight`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MetricName = Literal["accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "map", "macro_auc"]
METRICS: tuple[MetricName, ...] = get_args(MetricName)


@dataclass(frozen=True)
class Answers:
    """What one model says of n holdout items, beside what is true.

    Attributes:
        truth: bool [n, classes]; exactly one true in each row when single-label.
        probabilities: float64 [n, classes].
        multi_label: whether a row may have any number of labels.
        threshold: multi-label: a label with at least this probability is predicted.
    """

    truth: Bools
    probabilities: Floats
    multi_label: bool = False
    threshold: float = 0.5

    @cached_property
    def top(self) -> NDArray[np.int64]:
        """The most probable class of each item, int64 [n]."""
        return np.asarray(np.argmax(self.probabilities, axis=1))

    @cached_property
    def predicted(self) -> Bools:
        """bool [n, classes]: the most probable label, or every label over the threshold when multi-label."""
        if self.multi_label:
            return self.probabilities >= self.threshold
        chosen = np.zeros_like(self.truth)
        chosen[np.arange(len(self.top)), self.top] = True
        return chosen

    @cached_property
    def hits(self) -> Bools:
        """bool [n]: the most probable label is one of the item's labels."""
        return np.asarray(self.truth[np.arange(len(self.top)), self.top])

    @cached_property
    def present(self) -> NDArray[np.int64]:
        """The classes with at least one item in this holdout; macro averages run over these."""
        return np.flatnonzero(self.truth.any(axis=0))

    def subset(self, rows: NDArray[np.int64] | Bools) -> Answers:
        """The same for some of the items."""
        return Answers(self.truth[rows], self.probabilities[rows], self.multi_label, self.threshold)


class Scorer:
    """Computes every metric of `METRICS` for weightings of the items of one `Answers`.

    `accuracy` is the weighted share of `Answers.hits` (for multi-label: the first guess is right);
    `balanced_accuracy` the mean recall; `map` the mean over classes of the average precision. Macro
    averages run over the classes that have items; one left empty by a weighting is left out of its average.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        classes = answers.present
        truth, predicted = answers.truth, answers.predicted
        self._tp = (truth & predicted).astype(np.float64)
        self._fp = (~truth & predicted).astype(np.float64)
        self._fn = (truth & ~predicted).astype(np.float64)
        self._hits = answers.hits.astype(np.float64)
        self._rankings = [_Ranking(answers.probabilities[:, c], truth[:, c]) for c in classes]

    def __call__(self, weights: Floats) -> dict[MetricName, Floats]:
        """Metrics for weights [b, n], each [b]; NaN where one cannot be computed."""
        present = self._answers.present
        tp, fp, fn = weights @ self._tp, weights @ self._fp, weights @ self._fn
        recall = _divide(tp, tp + fn)[:, present]
        f1 = _divide(2 * tp, 2 * tp + fp + fn)[:, present] + 0 * recall
        ranked = [ranking(weights) for ranking in self._rankings]
        empty = np.full((len(weights), 1), np.nan)
        precision = np.stack([r[0] for r in ranked], axis=1) if ranked else empty
        auc = np.stack([r[1] for r in ranked], axis=1) if ranked else empty
        return {
            "accuracy": _divide(weights @ self._hits, weights.sum(axis=1)),
            "balanced_accuracy": _mean(recall),
            "macro_f1": _mean(f1),
            "micro_f1": _divide(2 * tp.sum(axis=1), (2 * tp + fp + fn).sum(axis=1)),
            "map": _mean(precision),
            "macro_auc": _mean(auc),
        }


class _Ranking:
    """Average precision and area under the ROC curve of one class; equal scores are one step."""

    def __init__(self, scores: Floats, truth: Bools) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._truth = truth[self._order].astype(np.float64)
        self._ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)

    def __call__(self, weights: Floats) -> tuple[Floats, Floats]:
        ordered = weights[:, self._order]
        found = np.cumsum(ordered * self._truth, axis=1)[:, self._ends]
        shown = np.cumsum(ordered, axis=1)[:, self._ends]
        wrong = shown - found
        steps = np.diff(found, axis=1, prepend=0.0)
        precision = _divide(found, shown, empty=0.0)
        average = _divide((precision * steps).sum(axis=1), found[:, -1])
        area = (np.diff(wrong, axis=1, prepend=0.0) * (found - steps / 2)).sum(axis=1)
        return average, _divide(area, found[:, -1] * wrong[:, -1])


def measure(answers: Answers) -> dict[MetricName, float]:
    """The point value of every metric; NaN where one cannot be computed."""
    values = Scorer(answers)(np.ones((1, len(answers.truth))))
    return {name: float(value[0]) for name, value in values.items()}


def confusion(answers: Answers) -> NDArray[np.int64]:
    """Counts [true, predicted].

    Multi-label: on the diagonal the labels found; beside it each missed label of an item against each label
    that was predicted for it and is not one of its own.
    """
    truth, predicted = answers.truth, answers.predicted
    if not answers.multi_label:
        return truth.T.astype(np.int64) @ predicted.astype(np.int64)
    missed, extra = truth & ~predicted, predicted & ~truth
    table = missed.T.astype(np.int64) @ extra.astype(np.int64)
    table[np.diag_indices_from(table)] = (truth & predicted).sum(axis=0)
    return table


def _divide(top: Floats, bottom: Floats, empty: float = np.nan) -> Floats:
    out = np.full(np.broadcast_shapes(np.shape(top), np.shape(bottom)), empty)
    return np.asarray(np.divide(top, bottom, out=out, where=bottom != 0))


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return _divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
