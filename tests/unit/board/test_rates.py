"""Rates from the counters of a served model."""

from __future__ import annotations

import pytest

from services.board.rates import Rate, Rates

PLACE = ("digits", "production")


def counters(answers: int, failures: int = 0, slow: int = 0) -> str:
    fast = answers - slow
    return "\n".join(
        [
            "# HELP rookery_serve_requests_total Answers",
            f'rookery_serve_requests_total{{status="200",code=""}} {answers}.0',
            f'rookery_serve_requests_total{{status="503",code="un\\"available"}} {failures}.0',
            f'rookery_serve_seconds_bucket{{le="0.01"}} {fast}.0',
            f'rookery_serve_seconds_bucket{{le="0.1"}} {answers}.0',
            f'rookery_serve_seconds_bucket{{le="+Inf"}} {answers}.0',
        ]
    )


def test_the_first_look_knows_no_rate() -> None:
    assert Rates().saw(PLACE, counters(10), 0) == Rate(None, None, None, 10)


def test_the_rate_of_the_last_minute() -> None:
    rates = Rates()
    rates.saw(PLACE, counters(0), 0)
    rates.saw(PLACE, counters(600), 60)
    found = rates.saw(PLACE, counters(660, failures=60, slow=660), 120)
    assert found.per_second == 2.0 and found.errors == 0.5
    assert found.recent == (10.0, 2.0)


def test_the_quantile_lies_inside_its_bucket() -> None:
    rates = Rates()
    rates.saw(PLACE, counters(0), 0)
    found = rates.saw(PLACE, counters(100, slow=10), 10)
    assert found.p95 == pytest.approx(0.055)


def test_a_server_that_began_anew_gives_no_negative_rate() -> None:
    rates = Rates()
    rates.saw(PLACE, counters(1000), 0)
    assert rates.saw(PLACE, counters(3), 5).per_second is None
    assert rates.saw(PLACE, counters(13), 15).per_second == 1.0


def test_silence_is_zero_and_no_quantile() -> None:
    rates = Rates()
    rates.saw(PLACE, counters(5), 0)
    assert rates.saw(PLACE, counters(5), 10) == Rate(0.0, None, None, 5, (0.0,))


def test_old_looks_are_forgotten() -> None:
    rates = Rates()
    for at in range(0, 4000, 4):
        found = rates.saw(PLACE, counters(at), at)
    assert len(found.recent) <= 40 and found.per_second == 1.0


def test_what_is_no_exposition_is_nothing() -> None:
    assert Rates().saw(PLACE, "<html>", 0).total == 0
