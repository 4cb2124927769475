"""Which inputs people are asked about, from the prediction log, in memory that depends on the answer's size alone.

The random share is a bottom-k sample: each distinct input of the window has a number in [0, 1) by a keyed hash, and the
k smallest are drawn. Given the k+1 smallest as the threshold, each was drawn with that probability (rank conditioning:
Cohen and Kaplan, "Summarizing data using bottom-k sketches", 2007), which is recorded with the draw. The other reasons
take from what was not drawn, so the random share is what it would be without them.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from services.labels.task import Reason, Record
from services.monitor.archive import Archive

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "time",
    "status",
    "input_digest",
    "version",
    "labels",
    "probabilities",
    "novelty",
    "novel",
    "source",
)
_MOST_COMPARED = 100_000
_SPARE = 8
Score = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quotas:
    """How many inputs at most for each reason; what the others leave is for unsure ones.

    Attributes:
        unsure_below: a confidence from which none is unsure.
    """

    random: int
    unsure: int = 0
    novel: int = 0
    disagreement: int = 0
    unsure_below: float = 0.9


@dataclass(frozen=True, slots=True)
class Chosen:
    """An input with the reason; `probability` of having been drawn, for the random share only."""

    record: Record
    reason: Reason
    probability: float | None = None


@dataclass
class Selection:
    """What a window gave.

    Attributes:
        chosen: each digest once; the random share also has inputs that had a task before.
        predictions: how many were answered in the window.
        probability: of each input of the window to be drawn.
    """

    chosen: list[Chosen] = field(default_factory=list)
    predictions: int = 0
    probability: float = 1.0


def choose(
    archive: Archive,
    application: str,
    begin: datetime,
    end: datetime,
    quotas: Quotas,
    salt: int,
    *,
    known: Collection[str] = (),
    apart: Collection[str] = (),
    environment: str = "production",
    beside: str = "canary",
) -> Selection:
    """Choose from what `environment` answered with `begin` <= time < `end`; the same salt chooses the same.

    Args:
        salt: 64 bits that nobody outside knows, so that nobody can make inputs that are drawn, or never are.
        known: digests that have a task; they are drawn like any other, and chosen for no other reason.
        apart: digests that count as not served at all, such as those of the data that the model was trained on.
        beside: environment whose answers to the same inputs are compared.

    Raises:
        Unavailable: the store is away, or the log was tidied meanwhile.
    """
    others = _answers(archive, application, beside, begin, end) if quotas.disagreement else {}
    sample = _Smallest(quotas.random + 1, apart)
    known = {*known, *apart}
    spare = quotas.random + _SPARE
    rest = quotas.unsure + quotas.novel + quotas.disagreement
    unsure = _Smallest(rest + spare, known)
    novel = _Smallest(quotas.novel + spare, known)
    differing = _Smallest(quotas.disagreement + spare, known)
    predictions = 0
    for table in archive.served(application, environment, begin, end, COLUMNS):
        rows = _Rows(table)
        predictions += len(rows)
        sample.add(ranks(rows.digests, salt), rows)
        unsure.add(np.where(rows.confidence < quotas.unsure_below, rows.confidence, np.nan), rows)
        novel.add(np.where(rows.novel, -rows.novelty, np.nan), rows)
        if others:
            differing.add(rows.differing(others), rows)
    drawn = sample.best()
    threshold = 1.0
    if len(drawn) > quotas.random:
        threshold = drawn[quotas.random][0]
        drawn = drawn[: quotas.random]
    selection = Selection(
        [Chosen(record, "random", threshold) for _, record in drawn], predictions, threshold
    )
    taken = {record.digest for _, record in drawn}
    pools: tuple[tuple[Reason, _Smallest, int], ...] = (
        ("disagreement", differing, quotas.disagreement),
        ("novel", novel, quotas.novel),
        ("unsure", unsure, rest),
    )
    for reason, pool, most in pools:
        fresh = [record for _, record in pool.best() if record.digest not in taken][: min(most, rest)]
        rest -= len(fresh)
        taken.update(record.digest for record in fresh)
        selection.chosen += [Chosen(record, reason) for record in fresh]
    return selection


def ranks(digests: npt.NDArray[np.uint64], salt: int) -> Score:
    """Numbers in [0, 1) that look random to whoever does not know the salt (splitmix64, Steele et al. 2014)."""
    value = (digests ^ np.uint64(salt)) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (value ^ (value >> np.uint64(31))).astype(np.float64) / 2.0**64


class _Smallest:
    """The distinct inputs with the smallest scores; of an input that came often, its best-scored record."""

    def __init__(self, count: int, without: Collection[str] = ()) -> None:
        self._count, self._without = count, without
        self._heap: list[tuple[float, str]] = []
        self._kept: dict[str, tuple[float, Record]] = {}

    def add(self, scores: Score, rows: _Rows) -> None:
        """Offer rows; a score that is no number is not offered."""
        if not self._count:
            return
        limit = -self._heap[0][0] if len(self._heap) >= self._count else np.inf
        candidates = np.flatnonzero(scores < limit)
        ordered = candidates[np.argsort(scores[candidates], kind="stable")]
        _, first = np.unique(rows.digests[ordered], return_index=True)
        for index in ordered[np.sort(first)]:
            score = float(scores[index])
            if len(self._heap) >= self._count and score >= -self._heap[0][0]:
                return
            found = rows.record(int(index))
            if found.digest in self._without or found.digest in self._kept:
                self._improve(score, found)
                continue
            self._kept[found.digest] = (score, found)
            heapq.heappush(self._heap, (-score, found.digest))
            if len(self._heap) > self._count:
                del self._kept[heapq.heappop(self._heap)[1]]

    def best(self) -> list[tuple[float, Record]]:
        """Scores and records, the smallest first."""
        return sorted(self._kept.values(), key=lambda pair: (pair[0], pair[1].digest))

    def _improve(self, score: float, found: Record) -> None:
        before = self._kept.get(found.digest)
        if before is not None and (score, found.time) < (before[0], before[1].time):
            self._kept[found.digest] = (score, found)
            self._heap = [(-value, digest) for digest, (value, _) in self._kept.items()]
            heapq.heapify(self._heap)


class _Rows:
    """The answered predictions of one file of the log."""

    def __init__(self, table: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._table = table.filter(pc.equal(table["status"], 200))
        raw = self._table["input_digest"].combine_chunks().cast(pa.binary())
        joined = b"".join(raw.to_pylist())
        self._digests = np.frombuffer(joined, np.uint8).reshape(-1, 32)
        self.digests = np.ascontiguousarray(self._digests[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
        first = (
            pc.list_element(self._table["probabilities"], 0)
            if len(self._table)
            else pa.array([], pa.float32())
        )
        self.confidence = np.asarray(first.to_numpy(), np.float64)
        self.novelty = np.asarray(self._table["novelty"].to_numpy(), np.float64)
        self.novel = np.asarray(self._table["novel"].to_numpy(zero_copy_only=False), bool)

    def __len__(self) -> int:
        return len(self._table)

    def record(self, index: int) -> Record:
        """One row."""
        row = self._table.slice(index, 1).to_pylist()[0]
        return Record(
            int(row["time"].timestamp() * 1000),
            row["input_digest"].hex(),
            row["version"] or "",
            tuple(row["labels"]),
            tuple(row["probabilities"]),
            float(row["novelty"]),
            row["source"] or "",
        )

    def differing(self, others: Mapping[bytes, tuple[str, float]]) -> Score:
        """The less sure of the two answers where they differ: two sure answers come first."""
        scores = np.full(len(self), np.nan)
        labels = self._table["labels"]
        for index, digest in enumerate(map(bytes, self._digests)):
            other = others.get(digest)
            if other is not None and labels[index][0].as_py() != other[0]:
                scores[index] = -min(self.confidence[index], other[1])
        return scores


def _answers(
    archive: Archive, application: str, environment: str, begin: datetime, end: datetime
) -> dict[bytes, tuple[str, float]]:
    """Digest → likeliest label and its probability, of at most 100,000 inputs."""
    found: dict[bytes, tuple[str, float]] = {}
    for digest, label, confidence in _pairs(archive, application, environment, begin, end):
        if digest not in found and len(found) >= _MOST_COMPARED:
            break
        found[digest] = (label, confidence)
    return found


def _pairs(
    archive: Archive, application: str, environment: str, begin: datetime, end: datetime
) -> Iterator[tuple[bytes, str, float]]:
    columns = ("status", "input_digest", "labels", "probabilities")
    for table in archive.served(application, environment, begin, end, columns):
        for batch in table.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                if row["status"] == 200:
                    yield row["input_digest"], row["labels"][0], row["probabilities"][0]
