from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from services.common.errors import Unavailable
from services.monitor.drift import Finding, State
from services.monitor.summary import Cell
from services.monitor.watch import Watch
from services.monitor.windows import Window
from tests.support.receivers import Webhook, wait_until, webhook

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PLACE = ("digits", "production")


def window(state: State, bundle: str = "sha256:a") -> Window:
    cell = Cell()
    cell.count, cell.novel = 100, 25
    finding = Finding("loudness", state, 100, 100, None, 0.0)
    return Window(*PLACE, NOW, NOW, "3", bundle, cell, {}, [], [finding], {}, dict(Counter()), "x")


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr("services.common.notices.MOST_SECONDS", 60)
    with webhook() as hook:
        monkeypatch.setenv("ROOKERY_NOTICES_URL", hook.url)
        yield hook


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr("services.monitor.watch._EVENT_SECONDS", 60)
    with webhook() as hook:
        yield hook


def watching(windows: list[Window], arbiter: str = "") -> Watch:
    return Watch(lambda: [PLACE], lambda *_: windows[0], 60, arbiter, SecretStr("t"))


def test_drift_is_told_and_posted_once_for_each_model(notices: Webhook, arbiter: Webhook) -> None:
    windows = [window("drift")]
    watch = watching(windows, arbiter.url)
    for _ in range(3):
        watch.look(NOW)
    (told,), (event,) = notices.told, arbiter.told
    assert told["subject"] == "digits production differs from what version 3 was validated on: loudness"
    assert told["facts"]["novel_share"] == "0.250"
    assert (event["kind"], event["application"], event["by"]) == ("drift", "digits", "monitor")
    assert event["detail"]["drifting"] == "loudness"
    assert arbiter.headers[0]["authorization"] == "Bearer t"
    windows[0] = window("drift", "sha256:b")
    watch.look(NOW)
    assert len(notices.told) == len(arbiter.told) == 2


def test_after_it_was_steady_drift_is_news_again_but_not_after_a_gap(
    notices: Webhook, arbiter: Webhook
) -> None:
    windows = [window("drift")]
    watch = watching(windows, arbiter.url)
    for state, times in (("drift", 1), ("not enough evidence", 1), ("drift", 1), ("steady", 1), ("drift", 2)):
        windows[0] = window(state)  # type: ignore[arg-type]
        watch.look(NOW)
        assert len(arbiter.told) == times


def test_an_arbiter_that_is_away_is_told_later_and_people_only_once(
    notices: Webhook, arbiter: Webhook
) -> None:
    watch = watching([window("drift")], arbiter.url)
    arbiter.status = 503
    watch.look(NOW)
    arbiter.status = 202
    watch.look(NOW)
    watch.look(NOW)
    assert len(arbiter.told) == 2 and len(notices.told) == 1


def test_nobody_there_and_an_environment_that_cannot_be_compared(notices: Webhook) -> None:
    def compare(application: str, environment: str, *_: datetime) -> Window:
        if application == "broken":
            raise Unavailable("the store is away")
        return window("drift")

    watch = Watch(lambda: [("broken", "production"), PLACE], compare, 60, "http://127.0.0.1:9")
    watch.look(NOW)
    assert len(notices.told) == 1


def test_people_who_could_not_be_told_are_told_later(notices: Webhook) -> None:
    watch = watching([window("drift")])
    notices.status = 503
    watch.look(NOW)
    notices.status, before = 202, len(notices.told)
    for _ in range(2):
        watch.look(NOW)
    assert len(notices.told) == before + 1


def test_a_fault_of_ours_in_one_environment_leaves_out_no_other(notices: Webhook) -> None:
    def compare(application: str, environment: str, *_: datetime) -> Window:
        if application == "broken":
            raise KeyError("a fault of ours")
        return window("drift")

    Watch(lambda: [("broken", "production"), PLACE], compare, 60).look(NOW)
    assert len(notices.told) == 1


def test_it_looks_by_itself_and_outlives_a_fault_of_ours() -> None:
    seen: list[int] = []

    def places() -> list[tuple[str, str]]:
        seen.append(1)
        raise KeyError("a fault of ours")

    watch = Watch(places, lambda *_: window("steady"), 0.01)
    watch.start()
    wait_until("the third look", lambda: len(seen) >= 3)
    watch.close()
    count = len(seen)
    time.sleep(0.05)
    assert len(seen) == count
