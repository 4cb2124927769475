from __future__ import annotations

import json
from dataclasses import replace

import pytest

from workflows.simulation.account import Month, Result, conclude, interval, share


def months(kept: list[int], alone: list[int], count: int = 100) -> list[Month]:
    return [
        Month(
            number + 1,
            f"2025-{number + 1:02d}",
            kept=[True] * k + [False] * (count - k),
            alone=[True] * a + [False] * (count - a),
            version="1",
        )
        for number, (k, a) in enumerate(zip(kept, alone, strict=True))
    ]


def result(kept: list[int], alone: list[int], shift: int = 2) -> Result:
    return conclude("digits", 6, months(kept, alone), shift)


def test_only_the_months_after_the_shift_count() -> None:
    found = result([99, 10, 90, 90], [99, 10, 60, 60])
    assert (found.counted, found.kept, found.alone) == (200, 0.9, 0.6)
    assert found.difference == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert found.won


@pytest.mark.parametrize("kept", [[99, 70, 60, 60], [99, 70, 50, 40], [99, 70, 61, 60]])
def test_as_good_or_worse_or_better_by_chance_is_no_win(kept: list[int]) -> None:
    assert not result(kept, [99, 70, 60, 60]).won


def test_four_pictures_of_one_thing_are_no_four_draws() -> None:
    plain = result([99, 10, 90, 90], [99, 10, 60, 60])
    year = [
        replace(
            month,
            kept=[right for right in month.kept for _ in range(4)],
            alone=[right for right in month.alone for _ in range(4)],
            groups=[f"scan-{number}" for number in range(100) for _ in range(4)],
        )
        for month in months([99, 10, 90, 90], [99, 10, 60, 60])
    ]
    found = conclude("digits", 6, year, 2)
    assert (found.counted, found.difference) == (800, pytest.approx(plain.difference))
    assert (found.low, found.high) == (pytest.approx(plain.low), pytest.approx(plain.high))
    assert "groups" not in found.as_dict()["months"][0]


def test_the_two_lines_say_who_is_who() -> None:
    found = result([99, 10, 90, 80], [99, 10, 60, 50])
    with_, without = found.lines()
    assert with_.startswith(
        "with the loop: 85.0 % right since the shift (200 inputs), 80.0 % in the last month"
    )
    assert without.startswith("without the loop: 55.0 % right since the shift")
    assert "+30.0 points" in with_


def test_retrainings_are_counted_by_how_they_ended() -> None:
    year = months([90] * 4, [90] * 4)
    year[1].outcome, year[1].promoted = "promoted", "2"
    year[2].outcome = "refused: the gate"
    year[1].labelled, year[2].labelled = 40, 100
    found = conclude("digits", 6, year, 2)
    assert (found.promoted, found.refused, found.labelled) == (1, 1, 140)


def test_it_can_be_written_as_json() -> None:
    content = json.loads(json.dumps(result([99, 10, 90, 80], [99, 10, 60, 50]).as_dict()))
    assert content["won"] is True
    assert content["months"][2]["kept"] == 0.9
    assert content["months"][2]["inputs"] == 100


def test_intervals_lie_around_the_share() -> None:
    low, high = interval([True] * 90 + [False] * 10)
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)
    assert interval([True] * 5)[1] == 1.0
    four = [f"scan-{number}" for number in range(100) for _ in range(4)]
    assert interval([True] * 360 + [False] * 40, four) == (low, high)
    assert share([True, False]) == 0.5
