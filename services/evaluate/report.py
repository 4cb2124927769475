"""The report of an evaluation: one self-contained page without scripts, every name from outside escaped."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray
from PIL import Image

from services.common.digest import short
from services.common.pages import templates
from services.evaluate import curves
from services.evaluate.metrics import METRICS, confusion
from services.evaluate.mistakes import show, worst_rows
from services.evaluate.study import Study

TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "map": "Mean average precision",
    "macro_auc": "Macro ROC area",
}
_TABLE_CLASSES = 20
_CONFUSIONS = 20


def page(gate: Mapping[str, Any], metrics: Mapping[str, Any], study: Study) -> str:
    """The HTML of a report on a study, its gate.json and its metrics.json."""
    answers = study.answers
    charts = [
        curves.reliability_chart(*study.calibration),
        curves.precision_recall_chart(answers),
        curves.roc_chart(answers),
        curves.risk_coverage_chart(answers),
    ]
    table = confusion(answers)
    return _render(
        "report.html",
        gate=gate,
        metrics=metrics,
        manifest=study.manifest,
        titles=[(name, TITLES[name]) for name in METRICS],
        charts=charts,
        confusion=_matrix(table, study.manifest.labels),
        heat=_heat(table) if len(table) > _TABLE_CLASSES else "",
        confused=_confused(table, study.manifest.labels),
        wrong=len(worst_rows(answers, len(answers.truth))),
        mistakes=show(study.predictor, study.kept, answers, [reply.novelty for reply in study.replies]),
    )


def failure_page(gate: Mapping[str, Any]) -> str:
    """The HTML of a refusal that came before anything could be measured."""
    return _render("refusal.html", gate=gate)


def _matrix(table: NDArray[np.int64], labels: Sequence[str]) -> list[tuple[str, list[tuple[int, float]]]]:
    if len(labels) > _TABLE_CLASSES:
        return []
    share = _shares(table)
    return [
        (label, [(int(n), float(s)) for n, s in zip(counts, shares, strict=True)])
        for label, counts, shares in zip(labels, table, share, strict=True)
    ]


def _shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    total = table.sum(axis=1, keepdims=True)
    return np.asarray(table / np.where(total == 0, 1, total))


def _heat(table: NDArray[np.int64]) -> str:
    """The matrix of many classes as a picture, one square for each pair, darker with the row's share."""
    side = max(1, 600 // len(table))
    level = (255 - 255 * np.sqrt(_shares(table))).astype(np.uint8)
    picture = Image.fromarray(np.kron(level, np.ones((side, side), np.uint8)))
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _confused(table: NDArray[np.int64], labels: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """The commonest confusions: true, said, how often, share of the true class's row."""
    beside = table.copy()
    np.fill_diagonal(beside, 0)
    order = np.argsort(-beside, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [divmod(int(flat), len(labels)) for flat in order]
    share = _shares(table)
    return [(labels[t], labels[s], int(beside[t, s]), float(share[t, s])) for t, s in pairs if beside[t, s]]


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    filters = {"number": _number, "percent": _percent, "plain": _plain, "short": short, "bytes": _bytes}
    return templates(Path(__file__).parent / "templates", filters)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _plain(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def _bytes(value: float) -> str:
    return f"{value / 1e6:.2f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
