"""A segment of the prediction log, read with suspicion: whoever can write to the spool may have written it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import InvalidInput, TooLarge

MOST_BYTES = 64 << 20
MOST_LABELS = 5
_MOST_FEATURES = 64
_LATEST = 4_102_444_800_000  # the year 2100, in milliseconds
_HEX32 = re.compile(r"[0-9a-f]{32}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_FEATURE = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SOURCE = re.compile(r"[A-Za-z0-9._:-]{0,64}")
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"


class Head(BaseModel):
    """The first line: who wrote."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["rookery.predictions/1"] = Field(alias="schema")
    segment: Annotated[str, Field(pattern=r"^[0-9]{13}-[0-9a-f]{12}$")]
    opened: int = Field(ge=0, le=_LATEST)
    application: Annotated[str, Field(pattern=_NAME)]
    environment: Annotated[str, Field(pattern=_NAME)]
    version: Annotated[str, Field(max_length=40)]
    bundle_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]

    @property
    def date(self) -> str:
        """The UTC day on which the segment was begun."""
        return datetime.fromtimestamp(self.opened / 1000, UTC).strftime("%Y-%m-%d")


@dataclass
class Predictions:
    """Columns of one segment: milliseconds, seconds, probabilities; a feature that was not measured is NaN.

    `copied`: the input was a copy of what another server was asked.
    """

    time: list[int] = field(default_factory=list)
    request_id: list[str] = field(default_factory=list)
    input_digest: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    probabilities: list[list[float]] = field(default_factory=list)
    novelty: list[float] = field(default_factory=list)
    novel: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    copied: list[bool] = field(default_factory=list)
    features: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Segment:
    """What a segment says.

    `failures`: milliseconds, status, seconds, whether of a copy; `feedback`: milliseconds, request id, labels.

    Attributes:
        broken: lines that say nothing; the last line of a killed process is one.
    """

    head: Head
    predictions: Predictions = field(default_factory=Predictions)
    failures: list[tuple[int, int, float, bool]] = field(default_factory=list)
    feedback: list[tuple[int, str, list[str]]] = field(default_factory=list)
    broken: int = 0


def parse_segment(data: bytes) -> Segment:
    """Read a segment; single bad lines are counted and left out.

    Raises:
        TooLarge: more than 64 MiB.
        InvalidInput: the first line does not say who wrote.
    """
    if len(data) > MOST_BYTES:
        raise TooLarge("the segment is too large", value=len(data), allowed=f"up to {MOST_BYTES:,} bytes")
    first, _, rest = data.partition(b"\n")
    try:
        segment = Segment(Head.model_validate_json(first))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in found["loc"]) or "the first line"
        raise InvalidInput(f"this is no segment of a prediction log: {place}: {found['msg']}") from error
    takers = {"p": _prediction, "s": _prediction, "f": _failure, "g": _failure, "b": _feedback}
    for line in rest.splitlines():
        try:
            record = orjson.loads(line)
            takers[record[0]](segment, record)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError):
            segment.broken += 1
    return segment


def _prediction(segment: Segment, record: list[Any]) -> None:
    kind, time, request_id, digest, top, novelty, novel, seconds, source, features = record
    names = [_text(label) for label, _ in top]
    probabilities = [_number(value) for _, value in top]
    if not (1 <= len(names) <= MOST_LABELS and all(0 <= value <= 1.00001 for value in probabilities)):
        raise ValueError("labels")
    if not (_HEX32.fullmatch(request_id) and _HEX64.fullmatch(digest) and _SOURCE.fullmatch(source)):
        raise ValueError("names")
    if not isinstance(features, dict) or len(features) > _MOST_FEATURES:
        raise ValueError("features")
    if not all(_FEATURE.fullmatch(name) for name in features):
        raise ValueError("features")
    measured = {name: _measured(value) for name, value in features.items()}
    row = (_time(time), _number(novelty), bool(novel), _seconds(seconds))
    columns = segment.predictions
    count = len(columns.time)
    columns.time.append(row[0])
    columns.request_id.append(request_id)
    columns.input_digest.append(digest)
    columns.labels.append(names)
    columns.probabilities.append(probabilities)
    columns.novelty.append(row[1])
    columns.novel.append(row[2])
    columns.seconds.append(row[3])
    columns.source.append(source)
    columns.copied.append(kind == "s")
    for name in measured.keys() - columns.features.keys():
        if len(columns.features) < _MOST_FEATURES:
            columns.features[name] = [math.nan] * count
    for name, values in columns.features.items():
        values.append(measured.get(name, math.nan))


def _failure(segment: Segment, record: list[Any]) -> None:
    kind, time, status, seconds = record
    if not 500 <= status <= 599:
        raise ValueError("status")
    segment.failures.append((_time(time), int(status), _seconds(seconds), kind == "g"))


def _feedback(segment: Segment, record: list[Any]) -> None:
    _, time, request_id, labels = record
    if not _HEX32.fullmatch(request_id) or len(labels) > 20:
        raise ValueError("feedback")
    segment.feedback.append((_time(time), request_id, [_text(label) for label in labels]))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise ValueError("text")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, str | bool) or not math.isfinite(number):
        raise ValueError("number")
    return number


def _measured(value: Any) -> float:
    return math.nan if value is None else _number(value)


def _seconds(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 86_400:
        raise ValueError("seconds")
    return number


def _time(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST:
        raise ValueError("time")
    return value
