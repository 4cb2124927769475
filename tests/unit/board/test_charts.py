"""Shapes are numbers, whatever the names say."""

from __future__ import annotations

from services.board.charts import HEIGHT, WIDTH, drift_charts, spark
from tests.support.board import HOSTILE


def facts(state: str = "steady", excess: float | None = 0.05, name: str = "a") -> dict[str, object]:
    shape = {"edges": [0.0, 1.0, 2.0], "labels": None, "reference": [0.5, 0.5], "window": [0.25, 0.75]}
    return {"findings": [{"name": name, "state": state, "excess": excess}], "histograms": {name: shape}}


def test_bars_fit_into_the_picture() -> None:
    (chart,) = drift_charts(facts())
    assert (chart.low, chart.high) == ("0", "2")
    assert max(bar.x + bar.width for bar in chart.bars) <= WIDTH
    assert max(bar.height for bar in chart.bars) == HEIGHT
    assert chart.path.startswith("M0.00 ")


def test_what_drifts_is_first() -> None:
    both = facts("steady", 0.9, "calm")
    loud = facts("drift", 0.2, "loud")
    both["findings"] += loud["findings"]  # type: ignore[operator]
    both["histograms"] |= loud["histograms"]  # type: ignore[operator]
    assert [chart.name for chart in drift_charts(both)] == ["loud", "calm"]


def test_paths_hold_no_text() -> None:
    (chart,) = drift_charts(facts(name=HOSTILE))
    assert set(chart.path) <= set("ML 0123456789.-")


def test_nothing_to_draw() -> None:
    assert drift_charts({}) == [] and drift_charts({"findings": [{"name": "a"}]}) == []
    empty = facts()
    empty["histograms"] = {"a": {"edges": None, "labels": [], "reference": [], "window": []}}
    assert drift_charts(empty)[0].bars == []


def test_a_line_of_rates() -> None:
    assert spark([]) == spark([1.0]) == spark([0.0, 0.0]) == ""
    assert set(spark([0.0, 2.0, 1.0])) <= set("ML 0123456789.-")
