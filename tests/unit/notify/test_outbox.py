from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import Unavailable
from services.notify.message import Message
from services.notify.outbox import GIVEN_UP, SENT, WAITING, Outbox

MESSAGE = Message(kind="gate", subject="a")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "state" / "outbox.sqlite", 3)
    yield box
    box.close()


def test_a_message_waits_for_each_channel_and_is_sent_once(outbox: Outbox) -> None:
    assert outbox.put("k", MESSAGE, ["log", "mail"])
    waiting = outbox.next("mail")
    assert waiting is not None and waiting.message == MESSAGE and waiting.tries == 0
    outbox.ended("k", "mail", SENT)
    assert outbox.next("mail") is None
    assert outbox.next("log") is not None
    assert not outbox.put("k", MESSAGE, ["log", "mail"])
    assert outbox.next("mail") is None
    assert outbox.counts() == {("log", WAITING): 1, ("mail", SENT): 1}


def test_the_file_is_for_its_owner(tmp_path: Path, outbox: Outbox) -> None:
    assert (tmp_path / "state" / "outbox.sqlite").stat().st_mode & 0o077 == 0


def test_a_clock_that_was_set_back_holds_nothing_up(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.put("a", MESSAGE, ["log"])
    outbox.again("a", "log", 600, "away")
    assert outbox.next("log") is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert outbox.next("log") is not None


def test_another_try_is_due_after_its_pause_and_new_ones_come_first(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.put("a", MESSAGE, ["log"])
    outbox.again("a", "log", 600, "away")
    assert outbox.next("log") is None
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    outbox.put("b", MESSAGE, ["log"])
    first = outbox.next("log")
    assert first is not None and first.key == "b"
    outbox.ended("b", "log", SENT)
    second = outbox.next("log")
    assert second is not None and (second.key, second.tries) == ("a", 1)


def test_too_many_waiting_are_refused_and_nothing_is_half_kept(outbox: Outbox) -> None:
    for key in "abc":
        outbox.put(key, MESSAGE, ["log", "mail"])
    with pytest.raises(Unavailable, match="too many messages"):
        outbox.put("d", MESSAGE, ["log"])
    assert len(outbox.latest(10)) == 3
    for channel in ("log", "mail"):
        outbox.ended("a", channel, GIVEN_UP, "why")
    assert outbox.put("d", MESSAGE, ["log"])


def test_what_waits_outlives_the_process(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "o", 10)
    first.put("a", MESSAGE, ["log"])
    second = Outbox(tmp_path / "o", 10)
    found = second.next("log")
    assert found is not None and found.key == "a"
    first.close(), second.close()


def test_old_messages_are_forgotten_but_not_those_that_wait(outbox: Outbox) -> None:
    outbox.put("a", MESSAGE, ["log"])
    outbox.put("b", MESSAGE, ["log", "gone"])
    outbox.ended("b", "log", SENT)
    outbox.tidy(1000, ["log", "gone"])
    assert len(outbox.latest(10)) == 2
    outbox.tidy(-1, ["log"])
    (left,) = outbox.latest(10)
    assert left["key"] == "a"


def test_a_channel_that_is_no_more_holds_nothing_up(outbox: Outbox) -> None:
    outbox.put("a", MESSAGE, ["mail"])
    outbox.tidy(1000, ["log"])
    assert outbox.latest(1)[0]["deliveries"] == [
        {"channel": "mail", "state": GIVEN_UP, "tries": 0, "reason": "the channel is no more"}
    ]


def test_many_threads_put_the_same_message_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o", 1000)
    fresh: list[bool] = []

    def put() -> None:
        fresh.extend(outbox.put(str(n), MESSAGE, ["log"]) for n in range(20))

    threads = [threading.Thread(target=put) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fresh) == 20
    assert outbox.counts() == {("log", WAITING): 20}
    outbox.close()
