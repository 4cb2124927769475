"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.evaluate.jobs import Jobs


class _Counters(Collector):
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def collect(self) -> list[Metric]:
        waiting, working = self._jobs.counts()
        ended = CounterMetricFamily(
            "rookery_evaluate_ended", "Evaluations that ended in this process", labels=["result"]
        )
        for result, count in self._jobs.finished.items():
            ended.add_metric([result], count)
        return [
            GaugeMetricFamily("rookery_evaluate_waiting", "Evaluations that wait", value=waiting),
            GaugeMetricFamily("rookery_evaluate_working", "Evaluations at work", value=working),
            ended,
        ]


def exposition(jobs: Jobs) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Counters(jobs))
    return bytes(generate_latest(registry))
