"""The figures of the pipeline for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.observe.pipeline import ACTIONS, WINDOW_SECONDS, Pipeline
from services.observe.reader import SOURCES, Reader
from services.observe.runs import DAYS, DECISIONS, STATUSES, Runs

_PLACE = ["application", "environment"]


class _Figures(Collector):
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def collect(self) -> Iterator[Metric]:
        reader = self._reader
        up = GaugeMetricFamily("rookery_observe_source_up", "1 while it can be read", labels=["source"])
        for source in SOURCES:
            up.add_metric([source], float(reader.up[source]))
        yield up
        yield from _releases(reader.pipelines)
        yield from _dora(reader.pipelines, time.time() - WINDOW_SECONDS)
        yield from _now(reader.pipelines)
        synced = GaugeMetricFamily(
            "rookery_environment_synced",
            "1 while the server has the released digest in memory",
            labels=_PLACE,
        )
        for place, value in sorted(reader.synced.items()):
            synced.add_metric(list(place), float(value))
        yield synced
        yield from _runs(reader.runs, [one.facts.name for one in reader.pipelines])


def _releases(pipelines: list[Pipeline]) -> Iterator[Metric]:
    commits = CounterMetricFamily(
        "rookery_release_commits", "Commits that changed what an environment runs", labels=[*_PLACE, "action"]
    )
    deployments = CounterMetricFamily(
        "rookery_deployments", "Versions that came to the last environment", labels=["application"]
    )
    failures = CounterMetricFamily(
        "rookery_deployments_taken_back", "Those of them that were taken back", labels=["application"]
    )
    for one in pipelines:
        name = one.facts.name
        for environment in one.facts.environments:
            for action in ACTIONS:
                commits.add_metric([name, environment, action], one.actions.get((environment, action), 0))
        deployments.add_metric([name], len(one.deployments))
        failures.add_metric([name], sum(each.restored is not None for each in one.deployments))
    yield from (commits, deployments, failures)


def _dora(pipelines: list[Pipeline], since: float) -> Iterator[Metric]:
    days = WINDOW_SECONDS / 86_400
    figures: tuple[tuple[str, str, Callable[[Pipeline], float | None]], ...] = (
        ("deployments_per_day", "Deployments to the last environment a day", lambda p: p.count(since) / days),
        (
            "lead_seconds",
            "Median time from the first release to the last environment",
            lambda p: p.lead(since),
        ),
        ("change_failure_share", "Share of deployments taken back", lambda p: p.failure_share(since)),
        ("restore_seconds", "Median time until a bad one was taken back", lambda p: p.restore(since)),
    )
    for metric, text, figure in figures:
        family = GaugeMetricFamily(
            f"rookery_dora_{metric}", f"{text}, last {days:.0f} days", labels=["application"]
        )
        for one in pipelines:
            if (value := figure(one)) is not None:
                family.add_metric([one.facts.name], value)
        yield family


def _now(pipelines: list[Pipeline]) -> Iterator[Metric]:
    since = GaugeMetricFamily(
        "rookery_environment_since_timestamp_seconds", "When git released what it runs", labels=_PLACE
    )
    born = GaugeMetricFamily(
        "rookery_model_born_timestamp_seconds", "When its model was first released anywhere", labels=_PLACE
    )
    version = GaugeMetricFamily(
        "rookery_environment_version", "Model version that git releases, as a number", labels=_PLACE
    )
    for one in pipelines:
        for environment, now in one.now.items():
            place = [one.facts.name, environment]
            since.add_metric(place, now.since)
            born.add_metric(place, now.born)
            if now.version.isdigit():
                version.add_metric(place, float(now.version))
    yield from (since, born, version)


def _runs(runs: Runs, applications: list[str]) -> Iterator[Metric]:
    days = f"started in the last {DAYS} days"
    trainings = GaugeMetricFamily("rookery_trainings", f"Trainings, {days}", labels=["application", "status"])
    verdicts = GaugeMetricFamily(
        "rookery_gate_verdicts",
        f"Verdicts of the gate on trainings {days}",
        labels=["application", "decision"],
    )
    for name in applications:
        for status in STATUSES:
            trainings.add_metric([name, status], runs.trainings.get((name, status), 0))
        for decision in DECISIONS:
            verdicts.add_metric([name, decision], runs.verdicts.get((name, decision), 0))
    workflows = GaugeMetricFamily(
        "rookery_workflows", f"Workflows, {days}", labels=["application", "template", "status"]
    )
    for labels, count in sorted(runs.workflows.items()):
        workflows.add_metric(list(labels), count)
    failed = GaugeMetricFamily(
        "rookery_workflow_failed_timestamp_seconds",
        "When a workflow of the template last failed",
        labels=["application", "template"],
    )
    for place, at in sorted(runs.failed.items()):
        failed.add_metric(list(place), at)
    yield from (trainings, verdicts, workflows, failed)


def exposition(reader: Reader) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Figures(reader))
    return bytes(generate_latest(registry))
