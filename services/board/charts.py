"""Shapes for inline SVG: numbers only; every text around them is the template's, which escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 300, 90
SPARK_WIDTH, SPARK_HEIGHT = 120, 26


@dataclass(frozen=True)
class Bar:
    """A rectangle in user units."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """Shares of what is served as bars, of the reference as a stepped line.

    Attributes:
        path: of the line, for an SVG `d` attribute.
        low, high: texts at the ends of the axis; empty for labels.
        names: of the bars, for labels alone.
    """

    name: str
    state: str
    note: str
    excess: float | None
    bars: list[Bar]
    path: str
    low: str
    high: str
    names: list[str]


def drift_charts(facts: Mapping[str, Any]) -> list[Chart]:
    """A chart of each comparison that has histograms, those that drift first."""
    found = []
    histograms = facts.get("histograms") or {}
    for item in facts.get("findings") or []:
        shape = histograms.get(item.get("name"))
        if shape:
            found.append(_chart(item, shape))
    return sorted(found, key=lambda chart: (chart.state != "drift", -(chart.excess or 0.0), chart.name))


def _chart(item: Mapping[str, Any], shape: Mapping[str, Any]) -> Chart:
    before = [float(value) for value in shape["reference"]]
    after = [float(value) for value in shape["window"]]
    edges, labels = shape.get("edges"), shape.get("labels") or []
    top = max(max(before, default=0.0), max(after, default=0.0)) or 1.0
    step = WIDTH / max(1, len(after))
    bars = [
        Bar(
            round(n * step + 0.5, 2),
            round(HEIGHT * (1 - share / top), 2),
            round(max(step - 1, 0.5), 2),
            round(HEIGHT * share / top, 2),
        )
        for n, share in enumerate(after)
    ]
    points = []
    for n, share in enumerate(before):
        y = HEIGHT * (1 - share / top)
        points.append(f"{n * step:.2f} {y:.2f} L{(n + 1) * step:.2f} {y:.2f}")
    return Chart(
        str(item["name"]).replace("_", " "),
        str(item.get("state", "")),
        str(item.get("note", "")),
        item.get("excess"),
        bars,
        "M" + " L".join(points) if points else "",
        f"{float(edges[0]):.4g}" if edges else "",
        f"{float(edges[-1]):.4g}" if edges else "",
        [str(name) for name in labels],
    )


def spark(values: Sequence[float]) -> str:
    """A line over the values, for an SVG `d` attribute; empty when there is nothing to see."""
    if len(values) < 2 or max(values) <= 0:
        return ""
    top = max(values)
    step = SPARK_WIDTH / (len(values) - 1)
    points = [
        f"{n * step:.1f} {SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * value / top:.1f}"
        for n, value in enumerate(values)
    ]
    return "M" + " L".join(points)
