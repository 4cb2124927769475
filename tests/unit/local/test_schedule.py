"""When a schedule is due, against counting every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from workflows.local.schedule import parse_schedule

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "now", "due"),
    [
        ("*/15 * * * *", "2026-06-01T10:29:59", "2026-06-01T10:15"),
        ("0 3 * * 1", "2026-06-05T00:00:00", "2026-06-01T03:00"),
        ("0 3 * * mon", "2026-06-05T00:00:00", "2026-06-01T03:00"),
        ("0 0 * * 7", "2026-06-05T00:00:00", "2026-05-31T00:00"),
        ("30 4 1,15 * 5", "2026-06-04T00:00:00", "2026-06-01T04:30"),
        ("30 4 1,15 * 5", "2026-06-06T00:00:00", "2026-06-05T04:30"),
        ("0 0 29 2 *", "2026-06-01T00:00:00", "2024-02-29T00:00"),
        ("5-59/20 0 * jan *", "2026-06-01T00:00:00", "2026-01-31T00:45"),
        ("@daily", "2026-06-01T12:00:00", "2026-06-01T00:00"),
    ],
)
def test_the_newest_due_minute(text: str, now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    wanted = datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert parse_schedule(text).last(at, at - timedelta(days=1500)) == wanted


numbers = st.sampled_from(["*", "*/2", "*/7", "1", "1,3", "2-5", "1-5/2"])


@given(
    st.tuples(numbers, numbers, numbers, numbers, numbers),
    st.integers(0, 60 * 24 * 500),
    st.integers(1, 3000),
)
def test_it_finds_what_counting_every_minute_finds(fields: tuple[str, ...], begin: int, length: int) -> None:
    schedule = parse_schedule(" ".join(fields))
    since = MONDAY + timedelta(minutes=begin)
    now = since + timedelta(minutes=length)
    minutes = [since + timedelta(minutes=number) for number in range(1, length + 1)]
    assert schedule.last(now, since) == max(filter(schedule.due, minutes), default=None)


def test_nothing_is_due_on_a_day_that_never_comes() -> None:
    assert parse_schedule("0 0 31 2 *").last(MONDAY, MONDAY - timedelta(days=9999)) is None


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "a * * * *"],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="schedule"):
        parse_schedule(text)
