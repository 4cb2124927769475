"""How busy a served model is: differences of the counters that it gives Prometheus."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

_WINDOW_SECONDS = 60.0
_KEPT_SECONDS = 600.0
_POINTS = 40
_LINE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Rate:
    """Of one environment.

    Attributes:
        per_second: answers a second over the last minute; nothing before the second look.
        errors: share of them that the server owed (5xx); nothing when there were none.
        p95: seconds, between bounds of the server's histogram; nothing when there were no answers.
        total: answers since the server began.
        recent: answers a second, oldest first, over at most ten minutes.
    """

    per_second: float | None
    errors: float | None
    p95: float | None
    total: int
    recent: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Sample:
    at: float
    answers: float
    failures: float
    buckets: dict[float, float]


class Rates:
    """What the counters were, by environment."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], deque[_Sample]] = {}
        self._lock = threading.Lock()

    def saw(self, place: tuple[str, str], exposition: str, at: float | None = None) -> Rate:
        """The rate with one more look at the counters; `at` is of the monotonic clock."""
        sample = _parse(exposition, time.monotonic() if at is None else at)
        with self._lock:
            samples = self._samples.setdefault(place, deque())
            if samples and sample.answers < samples[-1].answers:
                samples.clear()  # another process, whose counters began anew
            samples.append(sample)
            while sample.at - samples[0].at > _KEPT_SECONDS:
                samples.popleft()
            return _rate(list(samples))


def _rate(samples: list[_Sample]) -> Rate:
    last = samples[-1]
    base = next(one for one in samples if last.at - one.at <= _WINDOW_SECONDS)
    seconds, answers = last.at - base.at, last.answers - base.answers
    if seconds <= 0:
        return Rate(None, None, None, int(last.answers))
    recent = [(b.answers - a.answers) / (b.at - a.at) if b.at > a.at else 0.0 for a, b in pairwise(samples)]
    return Rate(
        round(answers / seconds, 2),
        round((last.failures - base.failures) / answers, 4) if answers else None,
        _quantile(base.buckets, last.buckets, 0.95) if answers else None,
        int(last.answers),
        tuple(round(value, 2) for value in _thinned(recent)),
    )


def _thinned(values: list[float]) -> list[float]:
    """At most so many points, each the mean of its neighbours."""
    size = -(-len(values) // _POINTS)
    if size <= 1:
        return values
    groups = [values[at : at + size] for at in range(0, len(values), size)]
    return [sum(group) / len(group) for group in groups]


def _quantile(before: dict[float, float], after: dict[float, float], share: float) -> float | None:
    """Linear within a bucket, as Prometheus' histogram_quantile does it."""
    grown = [(bound, count - before.get(bound, 0.0)) for bound, count in sorted(after.items())]
    if not grown or grown[-1][1] <= 0:
        return None
    wanted, low, below = share * grown[-1][1], 0.0, 0.0
    for bound, count in grown:
        if count >= wanted:
            if bound == float("inf"):
                return low
            return round(low + (bound - low) * (wanted - below) / max(count - below, 1e-9), 6)
        low, below = bound, count
    return low


def _parse(exposition: str, at: float) -> _Sample:
    answers = failures = 0.0
    buckets: dict[float, float] = {}
    for line in exposition.splitlines():
        if not line.startswith(("rookery_serve_requests_total", "rookery_serve_seconds_bucket")):
            continue
        found = _LINE.match(line)
        if found is None:
            continue
        labels = dict(_LABEL.findall(found["labels"] or ""))
        value = float(found["value"])
        if found["name"] == "rookery_serve_requests_total":
            answers += value
            failures += value if labels.get("status", "").startswith("5") else 0.0
        elif "le" in labels:
            buckets[float(labels["le"])] = value
    return _Sample(at, answers, failures, buckets)
