"""A segment of the log as it would have been written at other times, for simulations: one segment for each day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson

from services.common.errors import InvalidInput

_DAY_MS = 86_400_000


def moved(data: bytes, when: Callable[[int], int]) -> list[bytes]:
    """The records of a segment at other times, in segments by UTC day; nothing else of them changes.

    The new names follow from the old one and the day, so a segment that is moved again alike is known to the archive.

    Args:
        when: milliseconds since 1970 as the server wrote them, to those of the simulation.

    Raises:
        InvalidInput: this is no segment.
    """
    head, *lines = data.splitlines()
    try:
        first: dict[str, Any] = orjson.loads(head)
        name = str(first["segment"])
        by_day: dict[int, list[list[Any]]] = {}
        for line in lines:
            record: list[Any] = orjson.loads(line)
            record[1] = when(int(record[1]))
            by_day.setdefault(record[1] // _DAY_MS, []).append(record)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InvalidInput("this is no segment of a prediction log") from error
    return [_segment(first, name, records) for _, records in sorted(by_day.items())]


def day_of(milliseconds: int) -> str:
    """The UTC day of a time, as the archive names it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")


def _segment(head: dict[str, Any], name: str, records: list[list[Any]]) -> bytes:
    opened = min(int(record[1]) for record in records)
    own = sha256(f"{name} {day_of(opened)}".encode()).hexdigest()[:12]
    lines = [head | {"opened": opened, "segment": f"{opened:013d}-{own}"}, *records]
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
