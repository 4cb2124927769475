"""The dashboards as Grafana reads them."""

from __future__ import annotations

import json
from typing import Any

from services.observe.dashboards.files import FOLDER


def load(name: str) -> dict[str, Any]:
    """A committed dashboard."""
    content: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return content


def expressions(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Title and expression of every query."""
    return [(panel["title"], target["expr"]) for panel in content["panels"] for target in panel["targets"]]


def filled(expression: str) -> str:
    """The expression as Grafana sends it with everything chosen and a short range."""
    for name, value in (
        ("$__rate_interval", "1m"),
        ("$application", ".*"),
        ("$environment", ".*"),
    ):
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression
