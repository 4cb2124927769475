"""What production and a canary said of the same inputs: which classes they disagree on, and on which inputs.

The pairs are answers of the canary to copies of production's inputs, each with production's newest answer to an input
of the same digest. Inputs that clients sent to both by themselves are not counted: whoever sends the same broken file a
thousand times would be a thousand disagreements.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.monitor.archive import Archive
from services.monitor.tables import ROWS

MOST = 200_000
EXAMPLES = 6
_MOST_CLASSES = 100
_MOST_HELD = 100
_COLUMNS = ("time", "status", "input_digest", "label", "confidence", "novelty", "source", "version", "shadow")


@dataclass(frozen=True, slots=True)
class Said:
    """One answer; `time` in milliseconds since 1970."""

    time: int
    label: str
    confidence: float
    novelty: float
    source: str
    version: str


@dataclass
class Difference:
    """Inputs that production calls one thing and the canary another, the surest examples first."""

    production: str
    canary: str
    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Comparison:
    """All pairs of a window.

    Attributes:
        copies: answers of the canary to copies.
        inputs: distinct inputs that both answered; an input counts once.
        by_class: production's label → how many pairs, and how many of them differ.
    """

    application: str
    canary: str
    production: str
    begin: datetime
    end: datetime
    version: str
    copies: int
    inputs: int
    disagreements: int
    versions: dict[str, int]
    by_class: dict[str, tuple[int, int]]
    differences: list[Difference]

    def as_dict(self) -> dict[str, Any]:
        """The answer of `/shadow`."""
        return {
            "application": self.application,
            "canary": self.canary,
            "production": self.production,
            "from": self.begin.isoformat(),
            "to": self.end.isoformat(),
            "version": self.version,
            "versions": self.versions,
            "copies": self.copies,
            "pairs": self.inputs,
            "disagreements": self.disagreements,
            "share": self.disagreements / self.inputs if self.inputs else None,
            "by_class": [
                {"production": name, "pairs": pairs, "disagreements": differing}
                for name, (pairs, differing) in self.by_class.items()
            ],
            "classes": [
                {
                    "production": one.production,
                    "canary": one.canary,
                    "count": one.count,
                    "share": one.count / self.inputs,
                    "examples": one.examples,
                }
                for one in self.differences
            ],
        }


def compare_shadow(
    archive: Archive,
    application: str,
    canary: str,
    production: str,
    begin: datetime,
    end: datetime,
    *,
    version: str = "",
) -> Comparison:
    """Pair the answers of a window, the newest 200,000 inputs at most.

    Args:
        version: of the canary; empty: all.

    Raises:
        Unavailable: the store is away, or the log was tidied meanwhile.
    """
    copies: dict[bytes, Said] = {}
    answered = 0
    versions: Counter[str] = Counter()
    for digest, said, shadow in _answers(archive, application, canary, begin, end):
        if not shadow:
            continue
        versions[said.version] += 1
        if version in ("", said.version):
            answered += 1
            _keep_newest(copies, digest, said)
    beside: dict[bytes, Said] = {}
    for digest, said, _ in _answers(archive, application, production, begin, end):
        if digest in copies:
            _keep_newest(beside, digest, said)
    pairs = Counter(said.label for said in beside.values())
    ranked, differing = _differences(beside, copies)
    return Comparison(
        application,
        canary,
        production,
        begin,
        end,
        version,
        answered,
        len(beside),
        sum(differing.values()),
        dict(versions.most_common()),
        {name: (count, differing[name]) for name, count in pairs.most_common()},
        ranked,
    )


def _differences(
    beside: Mapping[bytes, Said], copies: Mapping[bytes, Said]
) -> tuple[list[Difference], Counter[str]]:
    """Pairs of classes, the most frequent first, and the number of disagreements by production's label."""
    found: dict[tuple[str, str], Difference] = {}
    differing: Counter[str] = Counter()
    for digest, said in beside.items():
        other = copies[digest]
        if other.label == said.label:
            continue
        differing[said.label] += 1
        one = found.setdefault((said.label, other.label), Difference(said.label, other.label))
        one.count += 1
        one.examples.append(_example(digest, said, other))
        if len(one.examples) >= _MOST_HELD:
            one.examples = heapq.nlargest(EXAMPLES, one.examples, key=_surest)
    ranked = sorted(found.values(), key=lambda one: (-one.count, one.production, one.canary))[:_MOST_CLASSES]
    for one in ranked:
        one.examples = heapq.nlargest(EXAMPLES, one.examples, key=_surest)
    return ranked, differing


def _answers(
    archive: Archive, application: str, environment: str, begin: datetime, end: datetime
) -> Iterator[tuple[bytes, Said, bool]]:
    for table in archive.served(application, environment, begin, end, _COLUMNS):
        for part in table.to_batches(max_chunksize=ROWS):
            times = part["time"].cast("int64").to_pylist()
            columns = [part[name].to_pylist() for name in _COLUMNS if name != "time"]
            for time, row in zip(times, zip(*columns, strict=True), strict=True):
                status, digest, label, confidence, novelty, source, version, shadow = row
                if status == 200 and digest is not None:
                    said = Said(time, label, float(confidence), float(novelty), source or "", version or "")
                    yield digest, said, bool(shadow)


def _keep_newest(found: dict[bytes, Said], digest: bytes, said: Said) -> None:
    before = found.get(digest)
    if before is None or before.time <= said.time:
        found[digest] = said
    if len(found) > 2 * MOST:
        for old in heapq.nsmallest(len(found) - MOST, found, key=lambda name: found[name].time):
            del found[old]


def _example(digest: bytes, said: Said, other: Said) -> dict[str, Any]:
    return {
        "input_digest": digest.hex(),
        "time": datetime.fromtimestamp(said.time / 1000, UTC).isoformat(),
        "source": said.source,
        "production": {"label": said.label, "confidence": said.confidence, "version": said.version},
        "canary": {"label": other.label, "confidence": other.confidence, "version": other.version},
        "novelty": said.novelty,
    }


def _surest(example: dict[str, Any]) -> float:
    """Two sure answers that differ tell most: one of the models is surely wrong."""
    return float(min(example["production"]["confidence"], example["canary"]["confidence"]))
