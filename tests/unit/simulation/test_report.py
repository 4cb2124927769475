from __future__ import annotations

import json
from pathlib import Path

from tests.unit.simulation.test_account import months
from workflows.simulation.account import Result, conclude
from workflows.simulation.chart import draw
from workflows.simulation.report import render, write_report
from workflows.simulation.world import Calendar

CALENDAR = Calendar.of(4)


def year() -> Result:
    played = months([99, 60, 90, 80], [99, 60, 55, 50])
    played[1].drift, played[1].drifting = "drift", ["brightness", "<b>label</b>"]
    played[1].outcome, played[1].promoted = "promoted", "2"
    played[2].outcome = "refused: <script>alert(1)</script>"
    played[2].estimate = (0.9, 0.8, 0.95)
    return conclude("digits", 6, played, CALENDAR.shift)


def test_the_chart_is_drawn_alike_each_time() -> None:
    for format_, head in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        first = draw(year(), CALENDAR, "a year", format_)  # type: ignore[arg-type]
        assert first.startswith(head)
        assert first == draw(year(), CALENDAR, "a year", format_)  # type: ignore[arg-type]
    assert len(draw(year(), CALENDAR, "a year", "png")) < 150_000


def test_the_page_needs_nothing_beside_it_and_escapes_what_others_said() -> None:
    page = render(year(), "a year", draw(year(), CALENDAR, "a year", "svg").decode())
    assert "<script" not in page and "<b>label</b>" not in page
    assert "&lt;script&gt;" in page
    assert "The loop won." in page and "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_all_files_are_written(tmp_path: Path) -> None:
    page = write_report(year(), CALENDAR, tmp_path)
    assert page == tmp_path / "report.html"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.html", "chart.svg", "chart.png", "year.json"}
    assert json.loads((tmp_path / "year.json").read_text())["won"]
