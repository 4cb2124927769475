"""Histograms as inline SVG: shapes only; every text around them is the template's, which escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


def _chart(
    finding: Finding, reference: Counts, window: Counts, edges: list[float] | None, labels: Sequence[str]
) -> Chart:
    names: list[str] = []
    before, after = reference / reference.sum(), window / window.sum()
    if edges is None:
        largest = np.argsort(-(before + after), kind="stable")[:_MOST_LABELS]
        before, after = before[largest], after[largest]
        names = [labels[index] for index in largest]
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
