"""What is done by itself, and what is told to the arbiter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from services.common.errors import NotFound, Unavailable
from services.labels.clerk import Clerk
from services.labels.telemetry import exposition
from tests.support.labelling import APPLICATION, Log, answer_all, office, shifted_png


def made(folder: Path, quiet: float = 0.0, names: tuple[str, ...] = (APPLICATION,)) -> tuple[Log, Clerk]:
    log = Log(folder / "monitor")
    log.serve([shifted_png(n) for n in range(30)], at=datetime.now(UTC) - timedelta(minutes=5))
    work = office(folder, log)
    clerk = Clerk(
        work,
        lambda: list(names),
        choose_seconds=3600,
        poll_seconds=1,
        quiet_seconds=quiet,
        arbiter=("http://arbiter", "secret"),
    )
    return log, clerk


def test_a_round_chooses_and_sends_and_the_next_only_looks(tmp_path: Path) -> None:
    log, clerk = made(tmp_path)
    assert clerk.round()
    assert (clerk.counts["chosen"], clerk.counts["sent"]) == (20, 20)
    log.serve([shifted_png(n) for n in range(100, 130)], at=datetime.now(UTC))
    assert clerk.round()
    assert clerk.counts["chosen"] == 20


def test_no_version_while_people_are_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clerk, "tell_arbiter", lambda _: 0)
    log, clerk = made(tmp_path, quiet=3600)
    clerk.round()
    answer_all(clerk.office, log)
    clerk.round()
    assert (clerk.counts["answers"], clerk.counts["versions"]) == (40, 0)
    assert clerk.sync(APPLICATION)["version"] == 1


def test_the_arbiter_is_told_until_it_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, clerk = made(tmp_path)
    calls: list[dict[str, object]] = []
    answers: list[int | Exception] = [httpx.ConnectError("away"), 503, 202]

    def post(url: str, **given: object) -> httpx.Response:
        calls.append({"url": url, **given})
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    monkeypatch.setattr("services.labels.clerk.httpx.post", post)
    clerk.round()
    answer_all(clerk.office, log)
    clerk.round()
    clerk.round()
    assert clerk.counts["events"] == 0
    clerk.round()
    clerk.round()
    assert (clerk.counts["events"], len(calls)) == (1, 3)
    assert calls[0]["url"] == "http://arbiter/events"
    assert calls[0]["headers"] == {"Authorization": "Bearer secret"}


def test_trouble_with_one_application_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, clerk = made(tmp_path, names=("birds", "cats", "dogs", APPLICATION))
    whole = clerk.office.base
    errors = {"birds": NotFound("nobody knows"), "cats": Unavailable("away"), "dogs": ValueError("a bug")}

    def base(name: str) -> object:
        if name in errors:
            raise errors[name]
        return whole(name)

    monkeypatch.setattr(clerk.office, "base", base)
    assert not clerk.round()
    assert clerk.counts["sent"] == 20
    assert (
        "cats: away" in clerk.trouble and "dogs: ValueError" in clerk.trouble and "birds" not in clerk.trouble
    )


def test_it_runs_and_ends(tmp_path: Path) -> None:
    _, clerk = made(tmp_path)
    clerk.start()
    clerk.wake()
    clerk.close()
    text = exposition(clerk, []).decode()
    assert "rookery_labels_sent_total" in text
