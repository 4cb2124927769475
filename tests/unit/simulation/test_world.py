from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from services.common.errors import InvalidInput
from services.data.checks import check_bytes
from services.media.limits import MediaLimits
from workflows.simulation.digits import LATE, NEW, OLD, DigitWorld, photograph, png
from workflows.simulation.world import Calendar, World, open_world


@pytest.fixture(scope="module")
def digits() -> World:
    return open_world("digits", 12, 6)


def test_the_shift_is_near_the_middle_and_new_classes_come_later() -> None:
    for months in range(3, 25):
        calendar = Calendar.of(months)
        assert 1 < calendar.shift < calendar.arrival <= months, months
    assert (Calendar.of(12).shift, Calendar.of(12).arrival) == (6, 9)


@pytest.mark.parametrize("months", [0, 2, 25])
def test_a_year_of_so_many_months_is_refused(months: int) -> None:
    with pytest.raises(InvalidInput, match="so many months"):
        open_world("digits", months, 6)


def test_an_application_without_a_world_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no simulated world"):
        open_world("mushrooms", 12, 6)


def test_no_scan_is_seen_twice(digits: World) -> None:
    seen = [{one.group for one in digits.start()}]
    seen += [{one.group for one in digits.month(number)} for number in range(1, 13)]
    assert sum(map(len, seen)) == len(set().union(*seen))
    assert all(len(groups) > 50 for groups in seen)


def test_new_classes_are_unknown_before_they_arrive(digits: World) -> None:
    arrival = digits.calendar.arrival
    early = {one.truth for one in digits.start()}
    early |= {one.truth for number in range(1, arrival) for one in digits.month(number)}
    assert early == set("01234567")
    for number in range(arrival, 13):
        share = np.mean([one.truth in LATE for one in digits.month(number)])
        assert 0.1 < share < 0.3


def test_devices_change_in_the_month_of_the_shift(digits: World) -> None:
    shift = digits.calendar.shift
    assert {one.source for one in digits.month(shift - 1)} == {OLD}
    assert {one.source for one in digits.month(shift)} == {NEW}
    assert digits.news(shift) and digits.news(digits.calendar.arrival)
    assert digits.news(1) == ""


def test_everything_follows_from_the_seed(digits: World) -> None:
    again, other = DigitWorld(digits.calendar, 6), DigitWorld(digits.calendar, 7)
    assert again.month(3) == digits.month(3)
    assert other.month(3) != digits.month(3)


def test_pictures_of_a_scan_follow_each_other_and_differ(digits: World) -> None:
    month = digits.month(2)
    groups = [one.group for one in month]
    changes = sum(before != after for before, after in pairwise(groups))
    assert changes + 1 == len(set(groups))
    assert len({one.data for one in month}) == len(month)


def test_the_new_camera_is_brighter_where_there_is_nothing() -> None:
    scan = np.zeros((8, 8))
    old, new = (photograph(scan, np.random.default_rng(1), new=new) for new in (False, True))
    assert new.mean() > old.mean() + 0.03
    assert check_bytes(png(new), MediaLimits()).fault == ""


def test_birds_are_recordings_of_known_species_then_of_more() -> None:
    birds = open_world("birds", 3, 1)
    start = list(birds.start())
    assert len({one.truth for one in start}) == 6
    last = birds.month(3)
    assert len({one.truth for one in last}) == 8
    assert last == open_world("birds", 3, 1).month(3)
    assert check_bytes(last[0].data, MediaLimits()).seconds == 2.0
