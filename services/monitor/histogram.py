"""Counts of numbers between fixed edges: they can be added, and millions of values cost milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_BLOCK = 1 << 16
CONFIDENCE_EDGES = np.linspace(0.0, 1.0, 21)
LATENCY_EDGES = np.concatenate([[0.0], np.logspace(-4, 2, 61)])


def count_between(values: NDArray[np.floating], edges: NDArray[np.float64] | Sequence[float]) -> Counts:
    """How many values lie in each bin; those beyond the edges count in the outermost bins, NaN nowhere.

    A bin holds its lower edge and not its upper one, except the last. Equal to `numpy.histogram` on clipped values,
    which is what the reference in a bundle was made with; blocks stay in the processor's cache.
    """
    bounds = np.asarray(edges, np.float64)
    bins = len(bounds) - 1
    counts = np.zeros(bins, np.int64)
    widths = np.diff(bounds)
    uniform = bool(np.allclose(widths, widths[0], rtol=1e-3))
    scale = bins / (bounds[-1] - bounds[0])
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK].astype(np.float64)
        if np.isnan(block).any():
            block = block[~np.isnan(block)]
        np.clip(block, bounds[0], bounds[-1], out=block)
        if uniform:
            place = ((block - bounds[0]) * scale).astype(np.intp)
            np.minimum(place, bins - 1, out=place)
            place -= block < bounds[place]
            place += (block >= bounds[place + 1]) & (place < bins - 1)
        else:
            place = np.minimum(np.searchsorted(bounds, block, side="right") - 1, bins - 1)
        counts += np.bincount(place, minlength=bins)
    return counts


def quantile(counts: Counts, edges: NDArray[np.float64], share: float) -> float:
    """The value below which `share` of the counted values lie, linear inside its bin; NaN when nothing is counted."""
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    return float(np.interp(share * total, cumulative, edges))
