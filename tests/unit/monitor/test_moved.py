from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.monitor.moved import day_of, moved
from services.monitor.segment import parse_segment
from tests.support.predictions import NOON, failure, feedback, prediction, segment

DAY = 86_400_000


def test_records_lie_in_segments_of_their_days_and_change_in_nothing_else() -> None:
    records = [prediction(n, time=NOON + n) for n in range(10)]
    records += [failure(NOON + 10), feedback(3, ["wren"], NOON + 11)]
    found = [
        parse_segment(data) for data in moved(segment(records), lambda at: 5 * DAY + (at - NOON) * DAY // 4)
    ]
    assert [one.head.date for one in found] == ["1970-01-06", "1970-01-07", "1970-01-08"]
    assert [len(one.predictions.time) for one in found] == [4, 4, 2]
    assert found[2].failures[0][1:] == (500, 0.5, False)
    assert found[2].feedback[0][2] == ["wren"]
    ids = [name for one in found for name in one.predictions.request_id]
    assert ids == [f"{n:032x}" for n in range(10)]
    assert not any(one.broken for one in found)
    assert all(one.head.opened == min(one.predictions.time) for one in found)


def test_moved_again_alike_it_has_the_same_names() -> None:
    data = segment([prediction(1), prediction(2)])

    def names(shift: int) -> list[str]:
        return [parse_segment(one).head.segment for one in moved(data, lambda at: at + shift)]

    assert names(0) == names(0)
    assert names(0) != names(DAY)


def test_what_is_no_segment_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no segment"):
        moved(b"hello\n", lambda at: at)


def test_days_are_those_of_the_archive() -> None:
    assert day_of(NOON) == "2026-06-01"
