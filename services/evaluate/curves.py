"""Curves of a holdout as points to draw, at most a few hundred each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.evaluate.calibration import Reliability
from services.evaluate.metrics import Answers, Floats

FEWEST = 20
_POINTS = 200
_TOPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Line:
    """Points x, y; `dots` gives each point's size besides, and `counts` of how many answers each was made."""

    name: str
    x: list[float]
    y: list[float]
    dots: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """A square chart; x from 0 to 1, y from 0 to `y_top`."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    diagonal: bool = False
    y_top: float = 1.0
    note: str = ""


def reliability_chart(before: Reliability, after: Reliability) -> Chart:
    """Said against happened, before and after the temperature; the size of a dot is its share of answers.

    Bins with few answers are joined with their neighbours, or chance would draw a zigzag; the calibration error is
    that of the bins as they are.
    """
    lines = []
    for name, found in (("before temperature", before), ("after temperature", after)):
        counts, said, happened = _joined(found, FEWEST)
        share = np.sqrt(counts / max(counts.sum(), 1))
        lines.append(Line(name, said.tolist(), happened.tolist(), share.tolist(), counts.tolist()))
    note = (
        f"bins with fewer than {FEWEST} answers are joined; the numbers count the answers after temperature"
    )
    return Chart("Reliability", "probability said", "share that was right", lines, diagonal=True, note=note)


def _joined(found: Reliability, fewest: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Counts, said and happened of neighbouring bins taken together until each has enough, the surest first."""
    groups: list[list[int]] = [[]]
    for at in np.flatnonzero(found.counts)[::-1].tolist():
        if found.counts[groups[-1]].sum() >= fewest:
            groups.append([])
        groups[-1].append(at)
    if len(groups) > 1 and found.counts[groups[-1]].sum() < fewest:
        few = groups.pop()
        groups[-1] += few
    full = [group for group in groups[::-1] if group]
    counts = np.array([found.counts[group].sum() for group in full], dtype=np.int64)
    said, happened = (
        np.array([(values[group] * found.counts[group]).sum() for group in full]) / counts
        for values in (found.said, found.happened)
    )
    return counts, said, happened


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
