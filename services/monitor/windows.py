"""A window of the log against what the bundle promised, for all inputs and for each source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from services.common.errors import InvalidInput
from services.monitor.archive import Archive
from services.monitor.drift import Finding, State, judge, overall
from services.monitor.histogram import CONFIDENCE_EDGES, LATENCY_EDGES, Counts, quantile
from services.monitor.reference import Reference
from services.monitor.summary import Cell, Summary

_HOUR = 3600
_REBINNED = "confidence"
Pairs = dict[str, tuple[Counts, Counts, list[float] | None]]


@dataclass(frozen=True)
class Thresholds:
    """When drift is called: see `services.monitor.drift.judge`."""

    alpha: float
    large: float
    minimum: int


@dataclass(frozen=True)
class Window:
    """The comparison of one window.

    Attributes:
        bundle_digest, version: which model it is about, the one with most predictions in the window.
        pairs: reference, window and edges of each thing that was compared.
        labels: names of the bins of `label`.
        sources: state and number of predictions of each source that the clients name.
        versions: number of predictions by version.
    """

    application: str
    environment: str
    begin: datetime
    end: datetime
    version: str
    bundle_digest: str
    cell: Cell
    pairs: Pairs
    labels: list[str]
    findings: list[Finding]
    sources: dict[str, tuple[State, int, list[str]]]
    versions: dict[str, int]
    against: str

    @property
    def state(self) -> State:
        """Drift, steady or not enough evidence."""
        return overall(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The answer of `/drift`."""
        p50, p95 = (quantile(self.cell.latency, LATENCY_EDGES, share) for share in (0.5, 0.95))
        return {
            "application": self.application,
            "environment": self.environment,
            "from": self.begin.isoformat(),
            "to": self.end.isoformat(),
            "state": self.state,
            "drifting": [finding.name for finding in self.findings if finding.state == "drift"],
            "against": self.against,
            "version": self.version,
            "bundle_digest": self.bundle_digest,
            "predictions": self.cell.count,
            "failed": self.cell.failed,
            "novel_share": self.cell.novel / self.cell.count if self.cell.count else None,
            "latency_p50_seconds": p50 if self.cell.count else None,
            "latency_p95_seconds": p95 if self.cell.count else None,
            "versions": self.versions,
            "sources": {
                name: {"state": state, "predictions": count, "drifting": drifting}
                for name, (state, count, drifting) in self.sources.items()
            },
            "findings": [finding.as_dict() for finding in self.findings],
        }


def compare_window(
    archive: Archive,
    application: str,
    environment: str,
    begin: datetime,
    end: datetime,
    thresholds: Thresholds,
    *,
    version: str = "",
    baseline: tuple[datetime, datetime] | None = None,
) -> Window:
    """The whole hours from `begin` to `end`, against the bundle's reference or another window.

    Args:
        version: which one; empty: the one with most predictions in the window.
        baseline: a window of the same model to compare with, in place of the bundle's reference.

    Raises:
        InvalidInput: the window ends before it begins, or is longer than a year.
    """
    hours, base_hours = _hours(begin, end), None if baseline is None else _hours(*baseline)
    summary = archive.summary(application, environment, begin, end)
    versions: Counter[str] = Counter()
    bundles: Counter[tuple[str, str]] = Counter()
    sources: Counter[str] = Counter()
    for key, cell in summary.cells.items():
        if hours[0] <= key.hour < hours[1]:
            versions[key.version] += cell.count
            if version in ("", key.version):
                bundles[(key.version, key.bundle_digest)] += cell.count + cell.failed
    chosen, digest = bundles.most_common(1)[0][0] if bundles else (version, "")
    cell = summary.total(hours=hours, version=chosen, bundle_digest=digest)
    for key, part in summary.cells.items():
        if key.version == chosen and key.bundle_digest == digest and hours[0] <= key.hour < hours[1]:
            sources[key.source] += part.count
    reference = archive.references.find(digest) if digest else None
    base = None
    if baseline is not None and base_hours is not None:
        earlier = archive.summary(application, environment, *baseline)
        base = earlier.total(hours=base_hours, bundle_digest=digest)
    pairs, labels = _pairs(reference, base, cell)
    return Window(
        application,
        environment,
        begin,
        end,
        chosen,
        digest,
        cell,
        pairs,
        labels,
        judge(pairs, alpha=thresholds.alpha, large=thresholds.large, minimum=thresholds.minimum),
        _by_source(summary, hours, (chosen, digest), sources, reference, base, thresholds),
        dict(versions.most_common()),
        "another window" if baseline is not None else "the bundle's validation split",
    )


def _by_source(
    summary: Summary,
    hours: tuple[int, int],
    model: tuple[str, str],
    sources: Counter[str],
    reference: Reference | None,
    base: Cell | None,
    thresholds: Thresholds,
) -> dict[str, tuple[State, int, list[str]]]:
    """Each named source by itself; the level is divided by their number."""
    named = [(name, count) for name, count in sources.most_common() if name]
    result: dict[str, tuple[State, int, list[str]]] = {}
    for name, count in named:
        cell = summary.total(hours=hours, version=model[0], bundle_digest=model[1], source=name)
        findings = judge(
            _pairs(reference, base, cell)[0],
            alpha=thresholds.alpha / len(named),
            large=thresholds.large,
            minimum=thresholds.minimum,
        )
        drifting = [finding.name for finding in findings if finding.state == "drift"]
        result[name] = (overall(findings), count, drifting)
    return result


def _pairs(reference: Reference | None, base: Cell | None, cell: Cell) -> tuple[Pairs, list[str]]:
    """Reference and window for each thing that both know, and the names of the labels."""
    pairs: Pairs = {}
    names: list[str] = []
    numeric = {} if reference is None else reference.numeric()
    edges = {name: histogram.edges for name, histogram in numeric.items()}
    edges.setdefault(_REBINNED, CONFIDENCE_EDGES.tolist())
    for name, bounds in edges.items():
        window = cell.histograms.get(name, np.zeros(len(bounds) - 1, np.int64))
        if base is not None:
            before = base.histograms.get(name)
        else:
            before = np.array(numeric[name].counts, np.int64) if name in numeric else None
        if before is not None and before.shape == window.shape:
            pairs[name] = (before, window, bounds)
    expected = (
        (reference.label_counts() if reference is not None else None) if base is None else dict(base.labels)
    )
    if expected:
        names = sorted(set(expected) | set(cell.labels))
        before = np.array([expected.get(name, 0) for name in names], np.int64)
        pairs["label"] = (before, np.array([cell.labels[name] for name in names], np.int64), None)
    return pairs, names


def _hours(begin: datetime, end: datetime) -> tuple[int, int]:
    first, last = begin.timestamp(), end.timestamp()
    if not 0 < last - first <= 366 * 86_400:
        raise InvalidInput(
            "the window is empty or too long",
            value=f"{begin.isoformat()} to {end.isoformat()}",
            allowed="up to 366 days, ending after it begins",
        )
    return int(first // _HOUR), int(-(-last // _HOUR))
