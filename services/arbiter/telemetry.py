"""What Prometheus is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.arbiter.arbiter import Arbiter
from services.arbiter.decide import DAY


class _Figures(Collector):
    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter

    def collect(self) -> Iterator[Metric]:
        store = self._arbiter.store
        decisions = CounterMetricFamily(
            "rookery_arbiter_decisions", "Decisions made", labels=["application", "verdict", "rule"]
        )
        for labels, count in sorted(store.counts().items()):
            decisions.add_metric(labels, count)
        yield decisions
        events = GaugeMetricFamily(
            "rookery_arbiter_open_events", "Events that no decision has answered", labels=["application"]
        )
        for application, found in sorted(store.open_events().items()):
            events.add_metric([application], len(found))
        yield events
        now = self._arbiter.clock.now()
        recent = GaugeMetricFamily(
            "rookery_arbiter_trainings_today",
            "Trainings begun in the last 24 hours, by how they stand",
            labels=["application", "outcome"],
        )
        counted = Counter(
            (one.application, one.outcome) for one in store.trainings(now - DAY) if one.started > now - DAY
        )
        for pair, count in sorted(counted.items()):
            recent.add_metric(pair, count)
        yield recent
        problems = CounterMetricFamily(
            "rookery_arbiter_problems", "What went wrong and is tried again", labels=["part"]
        )
        for part, count in self._arbiter.problems.items():
            problems.add_metric([part], count)
        yield problems


def exposition(arbiter: Arbiter) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Figures(arbiter))
    return bytes(generate_latest(registry))
