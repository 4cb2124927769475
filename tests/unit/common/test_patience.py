from __future__ import annotations

import pytest

from services.common import patience


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    return now


def test_pauses_double_up_to_three_seconds_and_end_with_the_patience(clock: list[float]) -> None:
    found = []
    for pause in patience.pauses(10.0):
        found.append(round(pause, 3))
        clock[0] += pause
    assert found == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 1.0]


def test_without_patience_there_is_one_try(clock: list[float]) -> None:
    assert list(patience.pauses(0.0)) == [0.0]
