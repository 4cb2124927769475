from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from services.common.errors import Refused, Unavailable
from services.notify.courier import Courier
from services.notify.message import KINDS, Message
from services.notify.outbox import Outbox, Waiting
from services.notify.settings import NotifySettings
from services.notify.words import Words
from tests.support.receivers import wait_until

MESSAGE = Message(kind="gate", subject="s")


class Way:
    def __init__(self, name: str, kinds: Collection[str] = KINDS) -> None:
        self.name, self.kinds = name, kinds
        self.sent: list[str] = []
        self.errors: list[Exception] = []

    def send(self, waiting: Waiting, words: Words) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(waiting.key)

    def close(self) -> None:
        self.sent.append("closed")


@pytest.fixture
def ways() -> list[Way]:
    return [Way("log"), Way("mail", ["failure"])]


@pytest.fixture
def courier(tmp_path: Path, ways: list[Way]) -> Iterator[Courier]:
    settings = NotifySettings(state_dir=tmp_path, retry_seconds=0.01)
    found = Courier(settings, Outbox(tmp_path / "o", 100), ways)
    found.start()
    yield found
    found.close()


def states(courier: Courier) -> list[tuple[str, str, int]]:
    return [(d["channel"], d["state"], d["tries"]) for d in courier.outbox.latest(1)[0]["deliveries"]]


def test_a_message_goes_to_those_that_want_its_kind_once(courier: Courier, ways: list[Way]) -> None:
    assert courier.take("a", MESSAGE)
    assert not courier.take("a", MESSAGE)
    courier.take("b", Message(kind="failure", subject="s"))
    wait_until("both", lambda: ways[0].sent == ["a", "b"] and ways[1].sent == ["b"])


def test_what_fails_is_tried_again_and_a_fault_of_ours_too(courier: Courier, ways: list[Way]) -> None:
    ways[0].errors = [Unavailable("away"), KeyError("bug"), Unavailable("away")]
    courier.take("a", MESSAGE)
    wait_until("the fourth try", lambda: ways[0].sent == ["a"])
    wait_until("its record", lambda: states(courier) == [("log", "sent", 4)])


def test_a_full_disk_ends_no_way_and_sends_nothing_twice(
    courier: Courier, ways: list[Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notify.courier._LOOK_SECONDS", 0.01)
    faults = [sqlite3.OperationalError("database or disk is full") for _ in range(3)]
    ended = courier.outbox.ended

    def full(*given: str) -> None:
        if faults:
            raise faults.pop()
        ended(*given)

    monkeypatch.setattr(courier.outbox, "ended", full)
    courier.take("a", MESSAGE)
    wait_until("its record", lambda: states(courier) == [("log", "sent", 1)])
    courier.take("b", MESSAGE)
    wait_until("the next one", lambda: ways[0].sent == ["a", "b"])


def test_a_refusal_is_not_tried_again(courier: Courier, ways: list[Way]) -> None:
    ways[0].errors = [Refused("too long")]
    courier.take("a", MESSAGE)
    wait_until("giving up", lambda: states(courier) == [("log", "given up", 1)])
    assert courier.outbox.latest(1)[0]["deliveries"][0]["reason"] == "too long"


def test_after_its_time_a_message_is_given_up(tmp_path: Path) -> None:
    way = Way("log")
    way.errors = [Unavailable("away")]
    settings = NotifySettings(state_dir=tmp_path, give_up_hours=1)
    courier = Courier(settings, Outbox(tmp_path / "p", 100), [way])
    courier.outbox.put("a", MESSAGE, ["log"])
    courier.deliver(way, Waiting("a", MESSAGE, 5, time.time() - 3601))
    assert states(courier) == [("log", "given up", 1)]
    courier.outbox.close()


def test_pauses_double_up_to_ten_minutes(courier: Courier) -> None:
    assert 0.01 <= courier.pause(0) <= 0.012
    assert 0.08 <= courier.pause(3) <= 0.096
    assert 600 <= courier.pause(10_000) <= 720


def test_a_way_that_hangs_holds_up_no_other(courier: Courier, ways: list[Way]) -> None:
    ways[1].errors = [Unavailable("away")] * 1000
    courier.take("a", Message(kind="failure", subject="s"))
    wait_until("the other", lambda: ways[0].sent == ["a"])
