"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.labels.clerk import Clerk

_TEXTS = {
    "chosen": "Inputs chosen for people",
    "sent": "Tasks laid on the desk",
    "answers": "Answers that were new or had changed",
    "versions": "Versions of datasets published",
    "away": "Times that the desk, or a store, was away",
    "events": "Events that the arbiter took",
}


class _Figures(Collector):
    def __init__(self, clerk: Clerk, queues: list[dict[str, Any]]) -> None:
        self._clerk, self._queues = clerk, queues

    def collect(self) -> Iterator[Metric]:
        for name, text in _TEXTS.items():
            yield CounterMetricFamily(f"rookery_labels_{name}", text, value=self._clerk.counts[name])
        families = {
            name: GaugeMetricFamily(f"rookery_labels_{name}", text, labels=["application"])
            for name, text in (
                ("open", "Tasks that wait for people"),
                ("done", "Tasks that are answered"),
                ("items", "Labelled items of the newest version of the dataset"),
                ("agreement", "Krippendorff's alpha of the last batch"),
                ("accuracy", "Estimate of accuracy in production"),
                ("accuracy_low", "Lower end of its 95 % interval"),
                ("accuracy_high", "Upper end of its 95 % interval"),
            )
        }
        for queue in self._queues:
            accuracy = queue["accuracy"]
            values = {
                "open": queue["open"],
                "done": queue["done"],
                "items": queue["items"],
                "agreement": queue["agreement"],
                "accuracy": accuracy["estimate"],
                "accuracy_low": accuracy["low"],
                "accuracy_high": accuracy["high"],
            }
            for name, value in values.items():
                if value is not None:
                    families[name].add_metric([queue["application"]], float(value))
        yield from families.values()


def exposition(clerk: Clerk, queues: list[dict[str, Any]]) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Figures(clerk, queues))
    return bytes(generate_latest(registry))
