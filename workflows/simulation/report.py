"""The report of a simulated year: one page that needs nothing beside it, the chart, and the figures."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from services.common.pages import templates
from workflows.simulation.account import Result, percent, share
from workflows.simulation.chart import draw
from workflows.simulation.world import Calendar


def write_report(result: Result, calendar: Calendar, folder: Path) -> Path:
    """Write report.html, chart.svg, chart.png and year.json; returns the page's path."""
    title = f"{result.application}: a simulated year, seed {result.seed}"
    chart = draw(result, calendar, title, "svg")
    (folder / "chart.svg").write_bytes(chart)
    (folder / "chart.png").write_bytes(draw(result, calendar, title, "png"))
    (folder / "year.json").write_text(json.dumps(result.as_dict(), indent=2, ensure_ascii=False) + "\n")
    page = folder / "report.html"
    page.write_text(render(result, title, chart.decode()))
    return page


def render(result: Result, title: str, chart: str) -> str:
    """The page; `chart` is SVG of our own making, everything else is escaped."""
    svg = Markup(chart[chart.index("<svg") :])  # noqa: S704
    return _environment().get_template("report.html").render(result=result, title=title, chart=svg)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return templates(Path(__file__).parent / "templates", {"share": share, "percent": percent})
