"""The prediction log in the object store: Parquet for every record, and a summary beside it that is read first.

    predictions/<application>/<environment>/<day>/<name>.parquet
    feedback/<application>/<environment>/<day>/<name>.parquet
    summaries/<application>/<environment>/<day>/<name>.json     written last: what has none is not there
    references/<bundle>.json    inputs/<day>/<digest>

A segment is put under its own name, so putting it twice changes nothing. Small files of a day are merged; the summary
of the merged file names what it replaces, so nothing is counted twice whatever dies in between. One process writes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from services.common.errors import NotFound, Unavailable
from services.monitor.objects import Objects
from services.monitor.reference import References
from services.monitor.segment import Segment
from services.monitor.summary import Summary, merged, summarise
from services.monitor.tables import (
    WHOSE,
    feedback_table,
    parquet_bytes,
    predictions_table,
    read_columns,
    without_inputs,
)

if TYPE_CHECKING:
    import pyarrow as pa

MERGE_AT = 96
_MERGE_MOST = 200
# A file of so many rows is large enough; what is merged at once lies in memory.
_LARGE_ROWS = 500_000
_KINDS = ("predictions", "feedback")


@dataclass
class Day:
    """The summaries of one day that count, by name, and the names that merged files have replaced."""

    summaries: dict[str, Summary] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=dict)


class Archive:
    """Predictions and feedback of all applications. Thread-safe."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.references = References(objects)
        self._lock = threading.RLock()
        self._days: dict[tuple[str, str, str], Day] = {}
        self._swept: set[tuple[str, str, str]] = set()

    def put(self, segment: Segment) -> bool:
        """Write one segment; False when it is there already.

        Raises:
            Unavailable: the store is away; putting it again later is safe.
        """
        head = segment.head
        with self._lock:
            day = self._day(head.application, head.environment, head.date)
            if head.segment in day.summaries or head.segment in day.replaced:
                return False
            place = f"{head.application}/{head.environment}/{head.date}/{head.segment}"
            self.objects.put(f"predictions/{place}.parquet", parquet_bytes(predictions_table(segment)))
            if segment.feedback:
                self.objects.put(f"feedback/{place}.parquet", parquet_bytes(feedback_table(segment)))
            summary = summarise(segment, self.references.find(head.bundle_digest))
            rows = len(segment.predictions.time) + len(segment.failures)
            self._write_summary(place, summary, rows, [])
            day.summaries[head.segment] = summary
            day.rows[head.segment] = rows
        return True

    def environments(self) -> list[tuple[str, str]]:
        """Application and environment of all that was logged."""
        found = {tuple(item.key.split("/")[1:3]) for item in self.objects.list("summaries")}
        return sorted((names[0], names[1]) for names in found if len(names) == 2)

    def summary(self, application: str, environment: str, begin: datetime, end: datetime) -> Summary:
        """All summaries of the days from `begin` to `end`; cells are by hour."""
        with self._lock:
            days = [self._day(application, environment, name) for name in _days(begin, end)]
            return merged(summary for day in days for summary in day.summaries.values())

    def read(
        self,
        kind: str,
        application: str,
        environment: str,
        begin: datetime,
        end: datetime,
        columns: Sequence[str],
        prefix: str = "",
    ) -> Iterator[pa.Table]:
        """Tables of `predictions` or `feedback` with these columns, file by file, so memory stays that of one file.

        With `prefix` also the columns of a file whose names begin so.

        Rows are those with `begin` <= time < `end`; their order is not that of time.

        Raises:
            Unavailable: files were merged while this was reading; asking again is safe.
        """
        for name in _days(begin, end):
            with self._lock:
                names = sorted(self._day(application, environment, name).summaries)
            for item in names:
                try:
                    data = self.objects.get(f"{kind}/{application}/{environment}/{name}/{item}.parquet")
                except NotFound:
                    with self._lock:
                        if item in self._day(application, environment, name).replaced:
                            raise Unavailable("the log was tidied meanwhile, ask again", value=item) from None
                    continue
                yield read_columns(data, columns, begin, end, prefix)

    def served(
        self, application: str, environment: str, begin: datetime, end: datetime, columns: Sequence[str]
    ) -> Iterator[pa.Table]:
        """Tables of predictions as `read` gives them, without the golden inputs of verifications."""
        wanted = list(dict.fromkeys([*columns, *WHOSE]))
        known: dict[str, list[str]] = {}

        def golden(bundle_digest: str) -> list[str]:
            if bundle_digest not in known:
                reference = self.references.find(bundle_digest)
                known[bundle_digest] = [] if reference is None else reference.golden
            return known[bundle_digest]

        for table in self.read("predictions", application, environment, begin, end, wanted):
            yield without_inputs(table, golden).select(list(columns))

    def merge(self, *, today: date) -> int:
        """Merge the small files of each day that has many; returns how many files are gone."""
        gone = 0
        for application, environment in self.environments():
            for name in self._day_names(application, environment):
                with self._lock:
                    day = self._day(application, environment, name)
                    self._sweep((application, environment, name), day)
                    small = [item for item in day.summaries if day.rows[item] < _LARGE_ROWS]
                    past = name < today.isoformat()
                    if len(small) >= (2 if past else MERGE_AT):
                        few = _smallest(day.rows, small)
                        gone += self._merge_day((application, environment, name), day, few)
        return gone

    def expire(self, *, keep_days: int, keep_input_days: int, today: date) -> int:
        """Remove what is older; returns how many objects are gone. An input is as old as the day it came."""
        oldest = (today - timedelta(days=keep_days)).isoformat()
        gone = 0
        for kind in ("summaries", *_KINDS):
            for item in list(self.objects.list(kind)):
                if item.key.split("/")[3] < oldest:
                    self.objects.delete(item.key)
                    gone += 1
        oldest_input = (today - timedelta(days=keep_input_days)).isoformat()
        for item in list(self.objects.list("inputs")):
            if item.key.split("/")[1] < oldest_input:
                self.objects.delete(item.key)
                gone += 1
        with self._lock:
            self._days = {key: day for key, day in self._days.items() if key[2] >= oldest}
        return gone

    def put_input(self, digest: str, data: bytes, *, today: date) -> None:
        """Keep an input under its digest."""
        self.objects.put(f"inputs/{today.isoformat()}/{digest}", data)

    def get_input(self, digest: str, at: datetime) -> bytes:
        """An input that was answered at this time; it lies under the day on which it came here.

        Raises:
            NotFound: it was not kept, or is gone.
        """
        for days in (0, 1, 2, -1):
            day = (at.astimezone(UTC) + timedelta(days=days)).date().isoformat()
            try:
                data = self.objects.get(f"inputs/{day}/{digest}")
            except NotFound:
                continue
            if input_name(data) == digest:
                return data
        raise NotFound("the log has not kept this input", value=digest)

    def _merge_day(self, key: tuple[str, str, str], day: Day, names: list[str]) -> int:
        place = "/".join(key)
        name = "merged-" + hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
        for kind in _KINDS:
            tables = []
            for item in names:
                try:
                    tables.append(self.objects.get(f"{kind}/{place}/{item}.parquet"))
                except NotFound:
                    continue
            if tables:
                self.objects.put(f"{kind}/{place}/{name}.parquet", parquet_bytes(tables))
        summary = merged(day.summaries[item] for item in names)
        rows = sum(day.rows[item] for item in names)
        self._write_summary(f"{place}/{name}", summary, rows, names)
        self._days[key] = Day(
            {**{n: s for n, s in day.summaries.items() if n not in names}, name: summary},
            day.replaced | set(names),
            {**{n: r for n, r in day.rows.items() if n not in names}, name: rows},
        )
        for item in names:
            if not item.startswith("merged-"):
                # A merged file that is merged again stays, empty of meaning, until the day expires: its list counts.
                self.objects.delete(f"summaries/{place}/{item}.json")
            for kind in _KINDS:
                self.objects.delete(f"{kind}/{place}/{item}.parquet")
        return len(names)

    def _sweep(self, key: tuple[str, str, str], day: Day) -> None:
        """Once a process: remove what a merge that died had replaced and not yet removed."""
        if key in self._swept or not day.replaced:
            return
        for kind in _KINDS:
            for item in list(self.objects.list(f"{kind}/{'/'.join(key)}")):
                if item.key.rsplit("/", 1)[1].removesuffix(".parquet") in day.replaced:
                    self.objects.delete(item.key)
        self._swept.add(key)

    def _write_summary(self, place: str, summary: Summary, rows: int, replaces: list[str]) -> None:
        content: dict[str, Any] = {**summary.as_dict(), "rows": rows, "replaces": replaces}
        self.objects.put(f"summaries/{place}.json", json.dumps(content, separators=(",", ":")).encode())

    def _day(self, application: str, environment: str, name: str) -> Day:
        key = (application, environment, name)
        if key not in self._days:
            self._days[key] = self._load("/".join(key))
        return self._days[key]

    def _load(self, place: str) -> Day:
        day = Day()
        for item in self.objects.list(f"summaries/{place}"):
            content = json.loads(self.objects.get(item.key))
            name = item.key.rsplit("/", 1)[1].removesuffix(".json")
            day.summaries[name] = Summary.from_dict(content)
            day.rows[name] = int(content["rows"])
            day.replaced.update(content["replaces"])
        day.summaries = {name: value for name, value in day.summaries.items() if name not in day.replaced}
        return day

    def _day_names(self, application: str, environment: str) -> list[str]:
        found = self.objects.list(f"summaries/{application}/{environment}")
        return sorted({item.key.split("/")[3] for item in found})


def _smallest(rows: Mapping[str, int], names: Iterable[str]) -> list[str]:
    """As many of the smallest files as make no more than two large ones, and two at least."""
    ordered = sorted(names, key=lambda name: (rows[name], name))[:_MERGE_MOST]
    total = accumulate(rows[name] for name in ordered)
    return [name for name, count in zip(ordered, total, strict=True) if count <= 2 * _LARGE_ROWS]


def _days(begin: datetime, end: datetime) -> list[str]:
    """Days whose segments may hold records of the window: a segment is begun before its last record is written."""
    first = (begin.astimezone(UTC) - timedelta(hours=1)).date()
    last = end.astimezone(UTC).date()
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def input_name(data: bytes) -> str:
    """The digest that an input is kept under."""
    return hashlib.sha256(data).hexdigest()
