"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.notify.outbox import GIVEN_UP, SENT, WAITING, Outbox


class _Deliveries(Collector):
    def __init__(self, outbox: Outbox, channels: list[str]) -> None:
        self._outbox, self._channels = outbox, channels

    def collect(self) -> Iterator[Metric]:
        counts = self._outbox.counts()
        kept = GaugeMetricFamily(
            "rookery_notify_messages", "Messages in the outbox by way and state", labels=["channel", "state"]
        )
        for channel in self._channels:
            for state in (WAITING, SENT, GIVEN_UP):
                kept.add_metric([channel, state], counts.get((channel, state), 0))
        yield kept


def exposition(outbox: Outbox, channels: list[str]) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Deliveries(outbox, channels))
    return bytes(generate_latest(registry))
