from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.monitor.archive import Archive
from services.monitor.canary import Request, judge_canary, load
from services.monitor.judge import Policy
from services.monitor.objects import FolderObjects
from services.monitor.segment import parse_segment
from tests.support.predictions import NOON, failure, feedback, prediction, reference, segment

BEGIN = datetime.fromtimestamp(NOON / 1000, UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(FolderObjects(tmp_path))


def answers(count: int, *, slow_share: float = 0.05, **changes: Any) -> list[list[Any]]:
    random = np.random.default_rng(count)
    seconds = np.where(random.random(count) < slow_share, 0.5, 0.01) * random.uniform(1, 1.5, count)
    return [prediction(n, seconds=float(seconds[n]), **changes) for n in range(count)]


def put(archive: Archive, environment: str, records: list[list[Any]], **changes: Any) -> None:
    archive.put(parse_segment(segment(records, environment=environment, **changes)))


def verdict(archive: Archive, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"version": "", "slow_quantile": 0.95, "policy": Policy()} | changes
    end = BEGIN + timedelta(hours=2)
    return judge_canary(archive, "birds", "canary", "production", BEGIN, end, **given)


def test_a_canary_like_production_is_promoted(archive: Archive) -> None:
    put(archive, "production", answers(2000))
    put(archive, "canary", answers(1500))
    found = verdict(archive)
    assert found["verdict"] == "promote", found["reasons"]
    assert found["requests"] == {"canary": 1500, "production": 2000}
    assert found["same_inputs"] == 1500


@pytest.mark.parametrize(("floor", "expected"), [(0.0, "roll back"), (0.01, "promote")])
def test_milliseconds_are_slow_only_above_the_floor(archive: Archive, floor: float, expected: str) -> None:
    put(archive, "production", [prediction(n, seconds=0.0005) for n in range(2000)])
    put(archive, "canary", [prediction(n, seconds=0.003) for n in range(1500)])
    found = verdict(archive, slow_floor=floor)
    assert found["verdict"] == expected, found["reasons"]
    assert found["slow_seconds"] == pytest.approx(max(0.0005, floor))


def test_a_verification_is_no_traffic(archive: Archive) -> None:
    archive.references.add(reference(golden=range(8)))
    put(archive, "production", answers(2000))
    put(archive, "canary", [prediction(n % 8, seconds=9.0, time=NOON + n) for n in range(300)])
    found = verdict(archive)
    assert (found["verdict"], found["requests"]["canary"]) == ("not enough evidence", 0)
    assert found["requests"]["production"] == 1992


def test_failures_roll_back(archive: Archive) -> None:
    put(archive, "production", answers(1000))
    put(archive, "canary", [*answers(500), *(failure(NOON + n) for n in range(100))])
    found = verdict(archive)
    assert (found["verdict"], found["reasons"][0][:6]) == ("roll back", "errors")


def test_a_slow_canary_is_rolled_back(archive: Archive) -> None:
    put(archive, "production", answers(2000))
    put(archive, "canary", answers(1000, slow_share=0.3))
    found = verdict(archive)
    assert (found["verdict"], found["reasons"][0][:4]) == ("roll back", "slow")


def test_other_answers_to_the_same_inputs_roll_back(archive: Archive) -> None:
    put(archive, "production", answers(1000))
    put(archive, "canary", answers(1000, labels=[["jay", 0.9]]))
    assert "disagreement" in verdict(archive)["reasons"][0]


def test_one_input_is_one_outcome_however_often_it_comes(archive: Archive) -> None:
    again = [prediction(3, seconds=0.01, labels=[["jay", 0.9]], time=NOON + 2000 + n) for n in range(200)]
    put(archive, "production", answers(2000))
    put(archive, "canary", [*answers(1500), *again])
    found = verdict(archive)
    assert found["verdict"] == "promote", found["reasons"]
    (asked,) = [item for item in found["questions"] if item["name"] == "disagreement"]
    assert (asked["count"], asked["difference"]) == (1500, 1 / 1500)


def test_people_who_say_that_it_is_wrong_roll_it_back(archive: Archive) -> None:
    put(archive, "production", [*answers(200), *(feedback(n, ["owl"]) for n in range(200))])
    put(archive, "canary", [*answers(200), *(feedback(n, ["jay"]) for n in range(200))])
    found = verdict(archive)
    assert (found["verdict"], found["reasons"][0][:5]) == ("roll back", "wrong")


def test_the_last_word_counts_and_words_about_nothing_do_not(archive: Archive) -> None:
    late = NOON + 5_000_000
    changed = [feedback(n, ["jay"]) for n in range(200)] + [feedback(n, ["owl"], late) for n in range(200)]
    invented = [feedback(10**6 + n, ["jay"]) for n in range(500)]
    put(archive, "production", [*answers(200), *(feedback(n, ["owl"]) for n in range(200))])
    put(archive, "canary", [*answers(200), *changed, *invented])
    (wrong,) = [item for item in verdict(archive)["questions"] if item["name"] == "wrong"]
    assert (wrong["count"], wrong["difference"]) == (200, 0.0)


@pytest.mark.parametrize("size", [0, 20])
def test_low_traffic_is_not_enough_evidence(archive: Archive, size: int) -> None:
    put(archive, "production", answers(1000))
    put(archive, "canary", answers(size))
    assert verdict(archive)["verdict"] == "not enough evidence"


def test_only_the_named_version_is_judged(archive: Archive) -> None:
    put(archive, "production", answers(1000))
    put(archive, "canary", [failure(NOON + n) for n in range(300)], version="8")
    put(archive, "canary", answers(600), version="9")
    assert verdict(archive, version="8")["verdict"] == "roll back"
    found = verdict(archive, version="9")
    assert found["verdict"] in ("promote", "hold")
    assert found["versions"] == {"8": 300, "9": 600}


def test_memory_is_bounded_by_the_newest(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.monitor.canary.MOST", 50)
    for part in range(4):
        put(archive, "canary", [prediction(part * 100 + n) for n in range(100)])
    found, versions = load(archive, "birds", "canary", BEGIN, BEGIN + timedelta(hours=1), "")
    assert [request.time - NOON for request in found] == list(range(350, 400))
    assert versions.total() == 400


def test_of_a_large_file_a_part_at_a_time_is_read(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    def newest(requests: list[Request]) -> list[Request]:
        held.append(len(requests))
        return sorted(requests, key=lambda request: request.time)[-50:]

    monkeypatch.setattr("services.monitor.canary.MOST", 50)
    monkeypatch.setattr("services.monitor.canary.ROWS", 60)
    monkeypatch.setattr("services.monitor.canary._newest", newest)
    put(archive, "canary", [prediction(n) for n in range(1000)])
    found, versions = load(archive, "birds", "canary", BEGIN, BEGIN + timedelta(hours=1), "")
    assert [request.time - NOON for request in found] == list(range(950, 1000))
    assert versions.total() == 1000
    assert max(held) <= 160
