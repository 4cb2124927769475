"""The dashboards as files, from which Grafana is provisioned.

A test compares the files with what is built here, and runs every query against a real Prometheus.
"""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from services.observe.dashboards.model import model
from services.observe.dashboards.pipeline import pipeline
from services.observe.dashboards.serving import serving

FOLDER = Path(__file__).resolve().parents[3] / "k8s" / "platform" / "grafana" / "dashboards"


def files() -> dict[str, str]:
    """File name → content of every dashboard."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    built = {"serving": serving(), "model": model(), "pipeline": pipeline()}
    return {f"{name}.json": encoder.encode(one.build()) + "\n" for name, one in built.items()}
