"""Counters of the serving process, cheap to write on the event loop, read by Prometheus at `/metrics`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

if TYPE_CHECKING:
    from services.serve.log import PredictionLog
    from services.serve.shadow import Shadow

_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CONFIDENCE = tuple(step / 10 for step in range(1, 11))
_WINDOWS = tuple(2.0**power for power in range(10))
# Labels that have figures of their own, those that came first; all others together are `_OTHERS`.
MOST_LABELS = 200
_OTHERS = "(others)"
_PLACE = ("application", "environment", "model_version")


class Histogram:
    """Counts between fixed upper bounds, and the sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; above the last bound it counts as infinite."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        total, rows = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


class Telemetry:
    """What this process has answered since it started. Written from the event loop only."""

    def __init__(self, info: dict[str, str]) -> None:
        self.info = info
        self.answers: dict[tuple[int, str], int] = {}
        self.latency = Histogram(_LATENCY)
        self.confidence = Histogram(_CONFIDENCE)
        self.windows = Histogram(_WINDOWS)
        self.labels: dict[str, int] = {}
        self.novel = 0
        self.predictions = 0
        self.queued: Callable[[], int] = lambda: 0
        self.busy: Callable[[], int] = lambda: 0
        self.log: PredictionLog | None = None
        self.shadow: Shadow | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        for extra in (ProcessCollector, PlatformCollector, GCCollector):
            extra(registry=self._registry)

    def predicted(self, label: str, confidence: float, novel: bool, seconds: float, windows: int = 1) -> None:
        """Count one answered prediction of so many windows."""
        self.predictions += 1
        self.novel += novel
        self.windows.observe(windows)
        if label not in self.labels and len(self.labels) >= MOST_LABELS:
            label = _OTHERS
        self.labels[label] = self.labels.get(label, 0) + 1
        self.confidence.observe(confidence)
        self.latency.observe(seconds)

    def refused(self, status: int, code: str) -> None:
        """Count one prediction that was not given."""
        self.answers[(status, code)] = self.answers.get((status, code), 0) + 1

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at a scrape."""
        names = list(_PLACE)
        place = [self.info.get(name, "") for name in _PLACE]
        for name, text, value in (
            ("rookery_serve_queue", "Predictions that wait for a thread", self.queued()),
            ("rookery_serve_busy", "Predictions in threads or waiting", self.busy()),
        ):
            gauge = GaugeMetricFamily(name, text, labels=names)
            gauge.add_metric(place, value)
            yield gauge
        novel = CounterMetricFamily("rookery_serve_novel", "Inputs unlike the training data", labels=names)
        novel.add_metric(place, self.novel)
        yield novel

        if self.log is not None:
            yield from _log_metrics(self.log)
        if self.shadow is not None:
            yield from _shadow_metrics(self.shadow)

        requests = CounterMetricFamily(
            "rookery_serve_requests",
            "Answers of /predict by status and error",
            labels=[*names, "status", "code"],
        )
        requests.add_metric([*place, "200", ""], self.predictions)
        for (status, code), count in sorted(self.answers.items()):
            requests.add_metric([*place, str(status), code], count)
        yield requests

        labels = CounterMetricFamily(
            "rookery_serve_label", "Answers by likeliest label", labels=[*names, "label"]
        )
        for label, count in sorted(self.labels.items()):
            labels.add_metric([*place, label], count)
        yield labels

        for name, text, histogram in (
            ("rookery_serve_seconds", "From the request's first byte to the answer", self.latency),
            ("rookery_serve_confidence", "Probability of the likeliest label", self.confidence),
            ("rookery_serve_windows", "Windows of one input, which the model takes as a batch", self.windows),
        ):
            family = HistogramMetricFamily(name, text, labels=names)
            family.add_metric(place, buckets=histogram.buckets(), sum_value=histogram.sum)
            yield family

        info = GaugeMetricFamily("rookery_serve_info", "What is in memory", labels=list(self.info))
        info.add_metric(list(self.info.values()), 1)
        yield info


def _shadow_metrics(shadow: Shadow) -> Iterator[Metric]:
    yield GaugeMetricFamily("rookery_serve_shadow_waiting", "Copies that wait", value=shadow.waiting())
    for name, text, value in (
        ("sent", "Copies of inputs that the other server answered", shadow.sent),
        ("dropped", "Inputs not copied: more than the rate, or no place", shadow.dropped),
        ("lost", "Copies lost because the other server was away or too slow", shadow.lost),
    ):
        yield CounterMetricFamily(f"rookery_serve_shadow_{name}", text, value=value)


def _log_metrics(log: PredictionLog) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "rookery_serve_log_records", "Records taken by the prediction log", value=log.records
    )
    dropped = log.dropped + log.spool.dropped
    yield CounterMetricFamily(
        "rookery_serve_log_dropped", "Records that found no place in the log", value=dropped
    )
    yield GaugeMetricFamily("rookery_serve_log_spool_bytes", "Size of the log's spool", value=log.spool.held)
    yield CounterMetricFamily(
        "rookery_serve_log_sent", "Files that arrived at the monitor service", value=log.sender.sent
    )
    yield CounterMetricFamily(
        "rookery_serve_log_refused", "Files that the monitor service refused", value=log.sender.refused
    )
