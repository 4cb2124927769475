"""The committed dashboards are what the generator builds, and hold together."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from services.observe.dashboards.files import FOLDER, files
from services.observe.rules import Limits, rules_file
from tests.support.dashboards import expressions, load

NAMES = sorted(files())


def test_the_files_are_what_is_built() -> None:
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == files(), (
        "run: python -m services.observe.dashboards"
    )


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_side_by_side_and_not_over_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in load(name)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_asks_prometheus_and_says_so(name: str) -> None:
    content = load(name)
    assert content["editable"] is False
    titles = [panel["title"] for panel in content["panels"]]
    assert len(titles) == len(set(titles)) > 8
    for panel in content["panels"]:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)) > 0
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "prometheus"}
    variables = {one["name"] for one in content["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", json.dumps([e for _, e in expressions(content)])))
    assert used - {"__rate_interval"} == variables


def test_what_the_issue_asks_for_is_there() -> None:
    wanted = {
        "serving.json": ("Rate", "Errors", "Latency", "Queue", "Batch"),
        "model.json": ("Confidence by version", "Classes", "Novel inputs by version", "Drift"),
        "pipeline.json": (
            "Trainings",
            "Verdicts of the gate",
            "Lead time",
            "Change failure rate",
            "Releases",
        ),
    }
    for name, titles in wanted.items():
        assert set(titles) <= {panel["title"] for panel in load(name)["panels"]}
    latency = " ".join(e for title, e in expressions(load("serving.json")) if title == "Latency")
    assert all(f"histogram_quantile({share}" in latency for share in ("0.5", "0.95", "0.99"))


def test_every_metric_of_the_alerts_is_on_a_dashboard_or_of_the_platform() -> None:
    def metrics(text: str) -> set[str]:
        return set(re.findall(r"rookery_\w+", text))

    shown: set[str] = set()
    for name in NAMES:
        for _, expression in expressions(load(name)):
            shown |= metrics(expression)
    alarmed: set[str] = set()
    rules: list[dict[str, Any]] = [r for g in rules_file(Limits())["groups"] for r in g["rules"]]
    for rule in rules:
        alarmed |= metrics(rule["expr"])
    assert alarmed - shown <= {"rookery_observe_source_up", "rookery_workflow_failed_timestamp_seconds"}
