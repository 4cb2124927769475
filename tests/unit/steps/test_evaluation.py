"""The verdict is waited for, told about, and not for ever."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from services.common.errors import Refused, Unavailable
from workflows.steps import evaluation

Call = Callable[..., httpx.Response]
ACCEPTED = {"new_model_version": "7", "bundle_digest": "sha256:b", "reasons": []}
REFUSED = {
    "new_model_version": "",
    "bundle_digest": "",
    "reasons": ["accuracy 0.1 is below 0.9", "too large"],
}


class Service:
    """Gives answers one after another, the last one for ever; a text is trouble before the next answer."""

    def __init__(self, *answers: httpx.Response | str) -> None:
        self.answers = iter((*answers, *[answers[-1]] * 1000))

    def call(self, method: str, url: str, *, told: Callable[[str], None], **_: object) -> httpx.Response:
        assert (method, url) == ("GET", "http://127.0.0.1:9/get-version")
        for answer in self.answers:
            if not isinstance(answer, str):
                return answer
            told(answer)
        raise AssertionError


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_POLL_SECONDS", 0.0)


def ask(monkeypatch: pytest.MonkeyPatch, *answers: httpx.Response | str) -> tuple[str, str]:
    monkeypatch.setattr(evaluation, "call", Service(*answers).call)
    return evaluation.evaluate.__wrapped__("r" * 32, "127.0.0.1:9")  # type: ignore[attr-defined,no-any-return]


def working(phase: str) -> httpx.Response:
    return httpx.Response(202, json={"phase": phase})


def test_what_the_service_does_is_told_once_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    phases = [
        working("scoring"),
        working("scoring"),
        working("publishing"),
        httpx.Response(200, json=ACCEPTED),
    ]
    assert ask(monkeypatch, *phases) == ("7", "sha256:b")
    told = capsys.readouterr().out + capsys.readouterr().err
    assert told.count("scoring") == told.count("publishing") == 1


def test_a_refusal_has_all_its_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=r"accuracy 0.1 is below 0.9; too large"):
        ask(monkeypatch, httpx.Response(200, json=REFUSED))


def test_an_evaluation_that_fails_again_and_again_is_given_up_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trouble = [working("scoring"), "500: no\nsuch key"] * 20
    with pytest.raises(Unavailable, match="failed 5 times, the last time with 500: no such key"):
        ask(monkeypatch, *trouble)


def test_trouble_before_it_works_and_four_failures_are_outlived(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble: list[httpx.Response | str] = ["503: full"] * 30 + [working("scoring"), "500: x"] * 4
    assert ask(monkeypatch, *trouble, httpx.Response(200, json=ACCEPTED)) == ("7", "sha256:b")
