"""What a promotion stands on: never on silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.common.errors import InvalidInput, Refused, Unavailable
from services.data.store import ObjectStoreSettings
from services.monitor.app import create_app
from services.monitor.settings import MonitorSettings
from tests.support.asgi import serving
from tests.support.predictions import failure, prediction, segment
from tests.support.release import evidence
from tests.support.servers import free_port
from workflows.release.evidence import Evidence
from workflows.steps import judging
from workflows.steps.judging import GOLDEN_ALONE, standing
from workflows.steps.settings import StepSettings

SINCE = datetime.now(UTC) - timedelta(minutes=30)
FIRST = int(SINCE.timestamp() * 1000) + 60_000


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(create_app(MonitorSettings(store=str(tmp_path)), ObjectStoreSettings())) as client:
        yield client


def canary(version: int = 3) -> Evidence:
    released = SINCE.strftime("%Y-%m-%dT%H:%M:%SZ")
    return evidence(version, environment="canary", released_at=released)


def put(http: httpx.Client, environment: str, records: list[list[Any]], version: str) -> None:
    data = segment(records, environment=environment, application="digits", version=version, opened=FIRST)
    assert http.put("/segments/any", content=data).status_code == 201


def ask(http: httpx.Client, judge: str = "required", without: str = "") -> dict[str, Any]:
    settings = StepSettings(monitor_url=str(http.base_url))
    return standing(settings, canary(), "production", judge, without)


def answers(count: int, **changes: Any) -> list[list[Any]]:
    return [prediction(n, time=FIRST + n, **changes) for n in range(count)]


def test_without_the_judge_the_evidence_says_golden_inputs_alone() -> None:
    settings = StepSettings(monitor_url=f"http://127.0.0.1:{free_port()}")
    assert standing(settings, canary(), "production", "off", "") == GOLDEN_ALONE


def test_a_monitor_that_wants_a_token_is_told_it(tmp_path: Path) -> None:
    settings = MonitorSettings(store=str(tmp_path), token="a-token-for-tests")  # type: ignore[arg-type]
    with serving(create_app(settings, ObjectStoreSettings())) as client:
        for token, said in (("", "those who know the token"), ("a-token-for-tests", "not enough evidence")):
            told = StepSettings(monitor_url=str(client.base_url), monitor_token=token)  # type: ignore[arg-type]
            with pytest.raises(Refused, match=said):
                standing(told, canary(), "production", "required", "")


def test_no_traffic_is_never_a_pass(http: httpx.Client) -> None:
    with pytest.raises(
        Refused, match=r"`not enough evidence`.*0 of at least 100 outcomes.*0 requests to canary"
    ):
        ask(http)


def test_a_canary_like_production_is_promoted_on_its_requests(http: httpx.Client) -> None:
    put(http, "production", answers(900), "2")
    put(http, "canary", [["s", *one[1:]] for one in answers(900)], "3")
    found = ask(http)
    assert (found["kind"], found["verdict"], found["copies"]) == ("judge", "promote", 900)
    assert found["requests"] == {"canary": 900, "production": 900}
    assert {one["name"] for one in found["questions"]} == {"errors", "slow", "disagreement", "wrong"}


def test_the_requests_of_another_version_are_no_evidence(http: httpx.Client) -> None:
    put(http, "production", answers(900), "2")
    put(http, "canary", answers(900), "1")
    with pytest.raises(Refused, match="not enough evidence"):
        ask(http)


def test_a_canary_that_fails_is_refused_with_the_reason(http: httpx.Client) -> None:
    put(http, "production", answers(500), "2")
    put(http, "canary", [*answers(400), *(failure(FIRST + n) for n in range(100))], "3")
    with pytest.raises(Refused, match=r"`roll back`.*errors is worse"):
        ask(http)


def test_a_model_that_shall_differ_may_do_so_and_the_evidence_says_it(http: httpx.Client) -> None:
    put(http, "production", answers(900), "2")
    put(http, "canary", answers(900, labels=[["jay", 0.9]]), "3")
    with pytest.raises(Refused, match="disagreement is worse"):
        ask(http)
    found = ask(http, without="disagreement")
    assert (found["verdict"], found["without"]) == ("promote", "disagreement")
    with pytest.raises(InvalidInput, match="errors"):
        ask(http, without="errors")


def test_a_monitor_that_is_away_is_trouble_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_PATIENCE_SECONDS", 0.1)
    settings = StepSettings(monitor_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable):
        standing(settings, canary(), "production", "required", "")


def test_without_a_monitor_nobody_can_judge() -> None:
    with pytest.raises(Refused, match="no monitor"):
        standing(StepSettings(monitor_url=""), canary(), "production", "required", "")


def test_another_way_to_judge_is_refused(http: httpx.Client) -> None:
    with pytest.raises(InvalidInput, match="maybe"):
        ask(http, judge="maybe")
