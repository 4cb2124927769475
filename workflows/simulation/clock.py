"""The simulated year: months of thirty days that pass in seconds."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Span:
    """A month of the calendar, the end excluded."""

    begin: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Year and month."""
        return self.begin.strftime("%Y-%m")


def month_span(number: int) -> Span:
    """The calendar month `number`, from 1."""
    return Span(_first(number), _first(number + 1))


@dataclass(frozen=True)
class Clock:
    """Maps the real moments in which a month was played onto the month: each sitting into an hour of its own.

    Args:
        marks: real moments at which the sittings began, milliseconds since 1970, rising. What comes later than the
            last one's end lies in the last hour of the month.
        end: real moment at which the last sitting ended.
    """

    span: Span
    marks: list[int]
    end: int

    def __call__(self, milliseconds: int) -> int:
        """A real time as a time of the simulated month, milliseconds since 1970."""
        first, last = (round(at.timestamp() * 1000) for at in (self.span.begin, self.span.end))
        hours = (last - first) // _HOUR_MS
        if milliseconds > self.end or not self.marks:
            return last - _HOUR_MS
        sitting = max(0, bisect_right(self.marks, milliseconds) - 1)
        hour = sitting * (hours - 1) // len(self.marks)
        return first + hour * _HOUR_MS + min(max(0, milliseconds - self.marks[sitting]), _HOUR_MS - 1)


def query(span: Span) -> dict[str, str]:
    """The month as parameters of the monitor."""
    return {
        "from": span.begin.isoformat(),
        "to": (span.end - timedelta(milliseconds=1)).isoformat(),
    }


def _first(number: int) -> datetime:
    years, month = divmod(BEGIN.month - 1 + number - 1, 12)
    return BEGIN.replace(year=BEGIN.year + years, month=month + 1)
