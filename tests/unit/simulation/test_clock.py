from __future__ import annotations

from datetime import UTC, datetime

from workflows.simulation.clock import Clock, month_span, query

HOUR = 3_600_000


def test_months_are_those_of_the_calendar() -> None:
    assert month_span(1).name == "2025-01"
    assert month_span(12).end == datetime(2026, 1, 1, tzinfo=UTC)
    assert month_span(0).name == "2024-12"
    assert month_span(13).name == "2026-01"


def test_each_sitting_has_an_hour_of_its_own_within_the_month() -> None:
    span = month_span(2)
    first, last = (int(at.timestamp() * 1000) for at in (span.begin, span.end))
    marks = [1000 + 7 * number for number in range(66)]
    clock = Clock(span, marks, end=1500)
    hours = [clock(mark) // HOUR for mark in marks]
    assert hours == sorted(set(hours))
    assert all(clock(mark) // HOUR == clock(mark + 6) // HOUR for mark in marks)
    assert first == clock(marks[0]) == clock(0)
    assert clock(1500) < last - HOUR


def test_what_comes_after_the_last_sitting_lies_in_the_last_hour() -> None:
    span = month_span(1)
    last = int(span.end.timestamp() * 1000)
    assert Clock(span, [10, 20], end=30)(31) == last - HOUR
    assert Clock(span, [], end=0)(12345) == last - HOUR


def test_the_query_of_a_month_does_not_touch_the_next() -> None:
    assert query(month_span(1)) == {
        "from": "2025-01-01T00:00:00+00:00",
        "to": "2025-01-31T23:59:59.999000+00:00",
    }
