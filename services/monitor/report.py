"""The drift report: one self-contained page without scripts, every name from outside escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from services.common.digest import short
from services.common.pages import templates
from services.monitor.charts import HEIGHT, WIDTH, charts
from services.monitor.windows import Window

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PICTURE_HEADERS = PAGE_HEADERS | {
    "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"] + "; img-src data:"
}


def drift_page(window: Window) -> str:
    """The HTML of a comparison."""
    return _render(
        "drift.html",
        window=window,
        facts=window.as_dict(),
        charts=charts(window.findings, window.pairs, window.labels),
        width=WIDTH,
        height=HEIGHT,
    )


def judge_page(judgement: Mapping[str, Any]) -> str:
    """The HTML of a verdict on a canary."""
    return _render("judge.html", facts=judgement)


def shadow_page(facts: Mapping[str, Any]) -> str:
    """The HTML of what production and a canary said of the same inputs; each example has its `picture`, or ""."""
    return _render("shadow.html", facts=facts)


def index_page(environments: list[tuple[str, str]]) -> str:
    """The HTML of the list of what was logged."""
    return _render("index.html", environments=environments)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    filters = {"number": _number, "percent": _percent, "short": short, "time": _time, "p": _p}
    return templates(Path(__file__).parent / "templates", filters)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 1e-12" if value < 1e-12 else f"{value:.2g}"


def _time(value: str) -> str:
    return value.replace("T", " ").split(".")[0].split("+")[0] + " UTC"
