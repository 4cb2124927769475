"""What a window of predictions looked like, as counts that can be added: by hour, version and source.

A day of any number of predictions is some kilobytes, and a drift check reads nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from services.monitor.histogram import CONFIDENCE_EDGES, LATENCY_EDGES, Counts, count_between
from services.monitor.reference import Reference
from services.monitor.segment import Segment

SCHEMA = "rookery.summary/1"
OTHER = "(other)"
MOST_SOURCES = 100
_MOST_LABELS = 10_000
_HOUR = 3_600_000


class Key(NamedTuple):
    """Which predictions a cell counts; `hour` since 1970, UTC."""

    hour: int
    version: str
    bundle_digest: str
    source: str


@dataclass
class Cell:
    """Counts of one key.

    Attributes:
        count: predictions answered.
        failed: predictions that the server owed and did not give.
        histograms: confidence always, and what the bundle's reference has; with the reference's edges.
        latency: of answered predictions, between `LATENCY_EDGES` in seconds.
    """

    count: int = 0
    failed: int = 0
    novel: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, Counts] = field(default_factory=dict)
    latency: Counts = field(default_factory=lambda: np.zeros(len(LATENCY_EDGES) - 1, np.int64))

    def add(self, other: Cell) -> None:
        """Count what the other counts too."""
        self.count += other.count
        self.failed += other.failed
        self.novel += other.novel
        self.labels.update(other.labels)
        self.latency = self.latency + other.latency
        for name, counts in other.histograms.items():
            mine = self.histograms.get(name)
            if mine is None:
                self.histograms[name] = counts.copy()
            elif mine.shape == counts.shape:
                self.histograms[name] = mine + counts


class Summary:
    """Cells by key, of a segment or of many."""

    def __init__(self, cells: dict[Key, Cell] | None = None) -> None:
        self.cells = cells or {}

    def add(self, other: Summary) -> None:
        """Merge another summary into this one; sources beyond the first hundred become one."""
        known = {key.source for key in self.cells}
        for key, cell in sorted(other.cells.items()):
            place = key
            if key.source not in known:
                if len(known) >= MOST_SOURCES:
                    place = key._replace(source=OTHER)
                known.add(place.source)
            self.cells.setdefault(place, Cell()).add(cell)

    def total(
        self,
        *,
        hours: tuple[int, int] | None = None,
        version: str | None = None,
        bundle_digest: str | None = None,
        source: str | None = None,
    ) -> Cell:
        """One cell of all that fits; `hours` are the first and the one after the last."""
        result = Cell()
        for key, cell in self.cells.items():
            if hours is not None and not hours[0] <= key.hour < hours[1]:
                continue
            if (
                version in (None, key.version)
                and bundle_digest in (None, key.bundle_digest)
                and source in (None, key.source)
            ):
                result.add(cell)
        return result

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        cells = [
            {
                **key._asdict(),
                "count": cell.count,
                "failed": cell.failed,
                "novel": cell.novel,
                "labels": dict(cell.labels),
                "latency": cell.latency.tolist(),
                "histograms": {name: counts.tolist() for name, counts in cell.histograms.items()},
            }
            for key, cell in sorted(self.cells.items())
        ]
        return {"schema": SCHEMA, "cells": cells}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Summary:
        """The inverse of `as_dict`. Raises ValueError, KeyError or TypeError for anything else."""
        if value["schema"] != SCHEMA:
            raise ValueError(f"not {SCHEMA}")
        cells = {}
        for entry in value["cells"]:
            key = Key(entry["hour"], entry["version"], entry["bundle_digest"], entry["source"])
            cells[key] = Cell(
                entry["count"],
                entry["failed"],
                entry["novel"],
                Counter(entry["labels"]),
                {name: np.array(counts, np.int64) for name, counts in entry["histograms"].items()},
                np.array(entry["latency"], np.int64),
            )
        return cls(cells)


def summarise(segment: Segment, reference: Reference | None) -> Summary:
    """The summary of one segment, with the edges of its bundle's reference where there is one.

    Golden inputs are left out: a verification sends few of them often, which would look like drift.
    """
    rows = segment.predictions
    head = segment.head
    hours = np.array(rows.time, np.int64) // _HOUR
    sources = _bounded(rows.source)
    columns = {"confidence": np.array([best[0] for best in rows.probabilities], np.float64)}
    columns["novelty"] = np.array(rows.novelty, np.float64)
    columns |= {name: np.array(values, np.float64) for name, values in rows.features.items()}
    seconds, novel = np.array(rows.seconds, np.float64), np.array(rows.novel, bool)
    first = [labels[0] for labels in rows.labels]
    edges = {"confidence": CONFIDENCE_EDGES}
    if reference is not None:
        edges |= {name: np.array(item.edges) for name, item in reference.numeric().items()}
    known = set(reference.labels) if reference is not None else None
    golden = frozenset(reference.golden) if reference is not None else frozenset()

    summary = Summary()
    groups: dict[tuple[int, str], list[int]] = {}
    for index, group in enumerate(zip(hours.tolist(), sources, strict=True)):
        if rows.input_digest[index] not in golden:
            groups.setdefault(group, []).append(index)
    for (hour, source), members in groups.items():
        at = np.array(members)
        labels = Counter(
            first[index] if known is None or first[index] in known else OTHER for index in members
        )
        cell = Cell(len(members), 0, int(novel[at].sum()), _most_common(labels))
        cell.latency = count_between(seconds[at], LATENCY_EDGES)
        cell.histograms = {
            name: count_between(columns[name][at], bounds)
            for name, bounds in edges.items()
            if name in columns
        }
        summary.cells[Key(hour, head.version, head.bundle_digest, source)] = cell
    for time, _, _, _ in segment.failures:
        key = Key(time // _HOUR, head.version, head.bundle_digest, "")
        summary.cells.setdefault(key, Cell()).failed += 1
    return summary


def merged(summaries: Iterable[Summary]) -> Summary:
    """All of them as one."""
    result = Summary()
    for summary in summaries:
        result.add(summary)
    return result


def _bounded(sources: list[str]) -> list[str]:
    kept = {name for name, _ in Counter(sources).most_common(MOST_SOURCES)}
    return [name if name in kept else OTHER for name in sources]


def _most_common(labels: Counter[str]) -> Counter[str]:
    if len(labels) <= _MOST_LABELS:
        return labels
    kept = Counter(dict(labels.most_common(_MOST_LABELS)))
    kept[OTHER] += labels.total() - kept.total()
    return kept
