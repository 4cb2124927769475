"""Confidence intervals by bootstrap over groups of items, vectorised and seeded.

Whole groups are drawn (Item.group: the windows of one recording, one author's recordings), since items of
one group are not independent; where every item is its own group this is the ordinary bootstrap. Several
models are scored on the same draws, which makes their differences a paired bootstrap. Source: Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.common.wilson import wilson
from services.evaluate.metrics import Answers, Floats, MetricName, Scorer

_BLOCK = 1_000_000


@dataclass(frozen=True)
class Interval:
    """The middle `confidence` share of the resampled values; NaN when too few resamples could be computed."""

    low: float
    high: float


def draws(groups: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Floats]:
    """Blocks of weights [b, n], in all `resamples` rows: how often each item's group was drawn.

    Args:
        groups: int [n], the group of each item, numbered from 0 without gaps.
        resamples: rows over all blocks.
        seed: equal seeds give equal rows, whatever the size of the blocks.
    """
    count = int(groups.max()) + 1
    share = np.full(count, 1.0 / count)
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(len(groups), 1))
    for start in range(0, resamples, rows):
        drawn = rng.multinomial(count, share, size=min(rows, resamples - start))
        yield drawn[:, groups].astype(np.float64)


def resample(
    models: Sequence[Answers], groups: NDArray[np.int64], *, resamples: int, seed: int
) -> list[dict[MetricName, Floats]]:
    """Every metric of every model on the same draws: for each model, name → float64 [resamples]."""
    scorers = [Scorer(answers) for answers in models]
    parts: list[list[dict[MetricName, Floats]]] = [[] for _ in models]
    for weights in draws(groups, resamples, seed):
        for part, scorer in zip(parts, scorers, strict=True):
            part.append(scorer(weights))
    return [{name: np.concatenate([block[name] for block in part]) for name in part[0]} for part in parts]


def interval(values: Floats, confidence: float) -> Interval:
    """Percentile interval of resampled values, those that are NaN left out."""
    known = values[~np.isnan(values)]
    if len(known) < max(1, len(values) // 2):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def intervals(samples: Mapping[MetricName, Floats], confidence: float) -> dict[MetricName, Interval]:
    """The interval of each metric."""
    return {name: interval(values, confidence) for name, values in samples.items()}


def share_interval(hits: int, count: int) -> Interval:
    """95 % interval of a share of hits, also for the small counts of classes and slices; NaN of none."""
    return Interval(*wilson(hits / count, count)) if count else Interval(float("nan"), float("nan"))
