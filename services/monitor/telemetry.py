"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.monitor.keeper import Keeper
from services.monitor.windows import Window

_TEXTS = {
    "records": "Records archived",
    "segments": "Segments archived",
    "repeated": "Segments that came again and were not archived twice",
    "broken": "Lines of segments that could not be read",
    "refused": "Files of spools that can never be taken",
    "away": "Times that the object store was away",
    "inputs": "Inputs kept",
}


class Gauges:
    """The last comparison of each environment, for alerts."""

    def __init__(self) -> None:
        self.windows: dict[tuple[str, str], Window] = {}

    def saw(self, window: Window) -> None:
        """Remember a comparison with the bundle's reference."""
        self.windows[(window.application, window.environment)] = window


class _Counters(Collector):
    def __init__(self, keeper: Keeper, gauges: Gauges) -> None:
        self._keeper, self._gauges = keeper, gauges

    def collect(self) -> Iterator[Metric]:
        for name, text in _TEXTS.items():
            yield CounterMetricFamily(f"rookery_monitor_{name}", text, value=self._keeper.counts[name])
        yield GaugeMetricFamily(
            "rookery_monitor_clock_skew_seconds",
            "Clock of the last server that logged, less this one's; a segment's age counts against it",
            value=self._keeper.clock_skew,
        )
        names = ["application", "environment"]
        drift = GaugeMetricFamily("rookery_monitor_drift", "1 while drift is called", labels=names)
        novel = GaugeMetricFamily("rookery_monitor_novel_share", "Novel share of inputs", labels=names)
        effect = GaugeMetricFamily(
            "rookery_monitor_effect", "Total variation beyond chance", labels=[*names, "feature"]
        )
        for place, window in sorted(self._gauges.windows.items()):
            drift.add_metric(place, float(window.state == "drift"))
            if window.cell.count:
                novel.add_metric(place, window.cell.novel / window.cell.count)
            for finding in window.findings:
                if finding.effect is not None:
                    effect.add_metric([*place, finding.name], finding.effect.excess)
        yield from (drift, novel, effect)


def exposition(keeper: Keeper, gauges: Gauges) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Counters(keeper, gauges))
    return bytes(generate_latest(registry))
