"""Tables of a holdout: every class, and slices by what the inputs are like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.evaluate.bootstrap import Interval, share_interval
from services.evaluate.gate import ClassRow
from services.evaluate.metrics import Answers, Bools, Floats, measure

_RARE_SHARE = 0.5


@dataclass(frozen=True)
class SliceRow:
    """The items of the holdout that are alike in one way.

    Attributes:
        family: what is looked at, such as `loudness` or `rare classes`.
        name: which part of it, with its bounds and unit.
        accuracy: with Wilson's 95 % interval; macro_f1 is over the classes that occur in the slice.
    """

    family: str
    name: str
    items: int
    accuracy: float
    interval: Interval
    macro_f1: float


@dataclass(frozen=True)
class Feature:
    """A number that every input has, and how a table calls it."""

    key: str
    family: str
    unit: str


AUDIO = (Feature("duration_seconds", "length", "s"), Feature("loudness_dbfs", "loudness", "dBFS"))
IMAGE = (Feature("pixels", "size", "pixels"), Feature("brightness", "brightness", ""))


def class_rows(answers: Answers, labels: Sequence[str], training: Mapping[str, int]) -> list[ClassRow]:
    """One row for each label, in the model's order; `training` counts each label's training items."""
    truth, predicted = answers.truth, answers.predicted
    right = (truth & predicted).sum(axis=0)
    support, said = truth.sum(axis=0), predicted.sum(axis=0)
    return [
        ClassRow(
            label=label,
            support=int(support[c]),
            predicted=int(said[c]),
            precision=_share(right[c], said[c]),
            recall=_share(right[c], support[c]),
            f1=_share(2 * right[c], said[c] + support[c]),
            average_precision=_average_precision(answers, c),
            training=int(training.get(label, 0)),
        )
        for c, label in enumerate(labels)
    ]


def slice_rows(
    answers: Answers, features: Mapping[str, Floats], kinds: Sequence[Feature], rare: NDArray[np.int64]
) -> list[SliceRow]:
    """Thirds by each feature, and items with and without a rare class.

    Args:
        features: feature key → float64 [n], NaN where an item does not have it.
        rare: indexes of the rare classes, from `rare_classes`.
    """
    rows = [
        _row(kind.family, name, answers, mask)
        for kind in kinds
        if kind.key in features
        for name, mask in _thirds(features[kind.key], kind.unit)
    ]
    with_rare: Bools = np.asarray(answers.truth[:, rare].any(axis=1))
    for name, mask in (("with a rare class", with_rare), ("without one", ~with_rare)):
        if len(rare) and mask.any():
            rows.append(_row("rare classes", name, answers, mask))
    return rows


def rare_classes(labels: Sequence[str], training: Mapping[str, int]) -> NDArray[np.int64]:
    """Indexes of the labels with fewer training items than half the median label has."""
    counts = np.array([training.get(label, 0) for label in labels], dtype=np.float64)
    return np.flatnonzero(counts < _RARE_SHARE * np.median(counts))


def _thirds(values: Floats, unit: str) -> Iterator[tuple[str, Bools]]:
    known = values[~np.isnan(values)]
    if not len(known):
        return
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    suffix = f" {unit}" if unit else ""
    if known.min() == known.max():
        yield f"all {_show(float(known[0]))}{suffix}", ~np.isnan(values)
        return
    parts = (
        (f"up to {_show(low)}{suffix}", values <= low),
        (f"{_show(low)} to {_show(high)}{suffix}", (values > low) & (values <= high)),
        (f"over {_show(high)}{suffix}", values > high),
    )
    yield from ((name, mask) for name, mask in parts if mask.any())


def _row(family: str, name: str, answers: Answers, mask: Bools) -> SliceRow:
    part = answers.subset(mask)
    values = measure(part)
    hits, count = int(part.hits.sum()), len(part.truth)
    return SliceRow(family, name, count, values["accuracy"], share_interval(hits, count), values["macro_f1"])


def _average_precision(answers: Answers, column: int) -> float:
    one = Answers(answers.truth[:, [column]], answers.probabilities[:, [column]], True, answers.threshold)
    return measure(one)["map"]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _show(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
