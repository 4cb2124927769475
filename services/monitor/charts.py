"""Histograms as inline SVG: shapes only; every text around them is the template's, which escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitor.drift import Finding
from services.monitor.histogram import Counts
from services.monitor.windows import Pairs

WIDTH, HEIGHT = 360.0, 130.0
_MOST_LABELS = 20


@dataclass(frozen=True)
class Bar:
    """A rectangle in user units."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """Shares of the window as bars and of the reference as a stepped line.

    Attributes:
        path: of the line, for an SVG `d` attribute; numbers only.
        low, high: texts at the ends of the axis; empty for labels.
        names: of the bins, for labels only.
    """

    finding: Finding
    bars: list[Bar]
    path: str
    low: str
    high: str
    names: list[str]
    top: float


def charts(findings: Sequence[Finding], pairs: Pairs, labels: Sequence[str]) -> list[Chart]:
    """A chart of each finding that has values, drifting ones first."""
    order = sorted(findings, key=lambda finding: (finding.state != "drift", finding.name))
    return [
        _chart(finding, *pairs[finding.name], labels)
        for finding in order
        if pairs[finding.name][0].sum() > 0 and pairs[finding.name][1].sum() > 0
    ]


def histograms(pairs: Pairs, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the charts draw as numbers, by name: `reference` and `window` as shares, their `edges` or their `labels`."""
    found: dict[str, dict[str, Any]] = {}
    for name, (reference, window, edges) in pairs.items():
        if reference.sum() and window.sum():
            before, after, names = _shares(reference, window, edges, labels)
            found[name] = {
                "edges": edges,
                "labels": names if edges is None else None,
                "reference": before.tolist(),
                "window": after.tolist(),
            }
    return found


def _shares(
    reference: Counts, window: Counts, edges: list[float] | None, labels: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    before, after = reference / reference.sum(), window / window.sum()
    if edges is not None:
        return before, after, []
    largest = np.argsort(-(before + after), kind="stable")[:_MOST_LABELS]
    return before[largest], after[largest], [labels[index] for index in largest]


def _chart(
    finding: Finding, reference: Counts, window: Counts, edges: list[float] | None, labels: Sequence[str]
) -> Chart:
    before, after, names = _shares(reference, window, edges, labels)
    top = float(max(before.max(), after.max()))
    step = WIDTH / len(before)
    bars = [
        Bar(
            round(n * step + 0.5, 2), round(HEIGHT * (1 - share / top), 2), round(step - 1, 2), _h(share, top)
        )
        for n, share in enumerate(after.tolist())
    ]
    points = []
    for n, share in enumerate(before.tolist()):
        y = HEIGHT * (1 - share / top)
        points.append(f"{n * step:.2f} {y:.2f} L{(n + 1) * step:.2f} {y:.2f}")
    low, high = ("", "") if edges is None else (f"{edges[0]:.4g}", f"{edges[-1]:.4g}")
    return Chart(finding, bars, "M" + " L".join(points), low, high, names, top)


def _h(share: float, top: float) -> float:
    return round(HEIGHT * share / top, 2)
