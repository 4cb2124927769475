"""When a cron schedule is due: five fields as Argo has them. Source: POSIX, "crontab", Extended Description."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.errors import InvalidInput

_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, tuple("jan feb mar apr may jun jul aug sep oct nov dec".split())),
    ("day of the week", 0, 7, tuple("sun mon tue wed thu fri sat".split())),
)
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")
_MOST_YEARS = 8


@dataclass(frozen=True)
class Schedule:
    """The minutes at which something is due."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def due(self, at: datetime) -> bool:
        """Whether the minute of this time is one of them."""
        return at.minute in self.minutes and at.hour in self.hours and self._day(at)

    def last(self, now: datetime, since: datetime) -> datetime | None:
        """The newest minute that is due after `since` and not after `now`."""
        at = now.replace(second=0, microsecond=0)
        earliest = max(since, now - timedelta(days=366 * _MOST_YEARS))
        while at > earliest:
            if not self._day(at):
                at = at.replace(hour=0, minute=0) - timedelta(minutes=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) - timedelta(minutes=1)
            elif at.minute not in self.minutes:
                at -= timedelta(minutes=1)
            else:
                return at
        return None

    def _day(self, at: datetime) -> bool:
        by_date, by_weekday = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        # POSIX: when both are restricted, either is enough.
        return at.month in self.months and (by_date or by_weekday if self.either else by_date and by_weekday)


def parse_schedule(text: str) -> Schedule:
    """The schedule of a text such as `*/15 * * * *`.

    Raises:
        InvalidInput: it is none; the message names the field.
    """
    fields = _SHORTHANDS.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise InvalidInput("a schedule has five fields", value=text, allowed="minute hour day month weekday")
    values = [_values(field, *rule, text) for field, rule in zip(fields, _FIELDS, strict=True)]
    weekdays = frozenset(day % 7 for day in values[4])
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    return Schedule(values[0], values[1], values[2], values[3], weekdays, either)


def _values(field: str, name: str, low: int, high: int, names: tuple[str, ...], whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InvalidInput(f"the {name} of a schedule cannot be read", value=whole)
        start, end, step = match.groups()
        first = low if start == "*" else _number(start, low, names)
        last = high if start == "*" or (step and end is None) else first
        if end is not None:
            last = _number(end, low, names)
        if not low <= first <= last <= high or step == "0" or (start == "*" and end):
            raise InvalidInput(
                f"the {name} of a schedule is out of range", value=whole, allowed=f"{low} to {high}"
            )
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    if text.lower() in names:
        return names.index(text.lower()) + low
    return -1
