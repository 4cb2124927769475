"""Curves of a holdout as points to draw, at most a few hundred each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from services.evaluate.calibration import Reliability
from services.evaluate.metrics import Answers, Floats

_POINTS = 200
_TOPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Line:
    """Points x, y; `dots` gives each point's size instead of joining them."""

    name: str
    x: list[float]
    y: list[float]
    dots: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """A square chart; x from 0 to 1, y from 0 to `y_top`."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    diagonal: bool = False
    y_top: float = 1.0


def reliability_chart(before: Reliability, after: Reliability) -> Chart:
    """Said against happened, before and after the temperature; the size of a dot is its share of answers."""
    lines = []
    for name, found in (("before temperature", before), ("after temperature", after)):
        full = found.counts > 0
        share = np.sqrt(found.counts[full] / found.counts.sum())
        lines.append(Line(name, found.said[full].tolist(), found.happened[full].tolist(), share.tolist()))
    return Chart("Reliability", "probability said", "share that was right", lines, diagonal=True)


def precision_recall_chart(answers: Answers) -> Chart:
    """Precision against recall over all answers together (micro average)."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(answers.truth.ravel(), answers.probabilities.ravel())
    return Chart("Precision and recall", "recall", "precision", [_line("all answers", recall, precision)])


def roc_chart(answers: Answers) -> Chart:
    """True against false positives over all answers together."""
    from sklearn.metrics import roc_curve

    wrong, right, _ = roc_curve(answers.truth.ravel(), answers.probabilities.ravel())
    line = _line("all answers", wrong, right)
    return Chart("ROC", "false positives", "true positives", [line], diagonal=True)


def risk_coverage_chart(answers: Answers) -> Chart:
    """Share of wrong first guesses among those that are at least so sure, against their share of all."""
    order = np.argsort(-answers.probabilities.max(axis=1), kind="stable")
    wrong = ~answers.hits[order]
    seen = np.arange(1, len(wrong) + 1)
    line = _line("first guess", seen / len(wrong), np.cumsum(wrong) / seen)
    top = next(step for step in _TOPS if step >= max(line.y))
    return Chart("Risk and coverage", "share answered, surest first", "share wrong", [line], y_top=top)


def _line(name: str, x: Floats, y: Floats) -> Line:
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return Line(name, np.round(x[keep], 4).tolist(), np.round(y[keep], 4).tolist())
