"""Label Studio's API as it misbehaves; as it behaves is tested with the real one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.common.errors import InvalidInput, RookeryError, Unavailable
from services.labels.studio import LateDesk, StudioDesk
from services.labels.task import Project

PROJECT = Project("digits", "image", "single-label", ("1", "2"))


def desk(answer: Callable[[httpx.Request], httpx.Response], token: str = "token") -> StudioDesk:
    made = StudioDesk("http://studio", token)
    made._client = httpx.Client(
        base_url="http://studio", transport=httpx.MockTransport(answer), headers=made._client.headers
    )
    return made


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (httpx.Response(502), Unavailable, "answers 502"),
        (httpx.Response(429), Unavailable, "answers 429"),
        (httpx.Response(200, text="<html>"), Unavailable, "no JSON"),
        (httpx.Response(401, json={"detail": "Invalid token."}), InvalidInput, "a valid token"),
        (httpx.Response(400, json={"validation_errors": {"label_config": ["bad"]}}), InvalidInput, "bad"),
        (httpx.Response(404, text="nothing"), InvalidInput, "nothing"),
    ],
)
def test_what_it_answers_is_an_error_of_ours(
    answer: httpx.Response, error: type[RookeryError], message: str
) -> None:
    with pytest.raises(error, match=message):
        desk(lambda _: answer).open(PROJECT)


def test_a_server_that_is_not_there() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unavailable, match="does not answer: ConnectError"):
        desk(away).open(PROJECT)


def test_a_personal_access_token_is_exchanged_and_again_when_it_has_expired() -> None:
    given: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token/refresh":
            given.append(f"short-{len(given)}")
            return httpx.Response(200, json={"access": given[-1]})
        said = request.headers.get("authorization", "")
        if said != f"Bearer {given[-1]}" or (len(given) == 1 and request.method == "POST"):
            return httpx.Response(401, json={"detail": "expired"})
        if request.method == "GET":
            return httpx.Response(200, json={"results": [], "count": 0})
        return httpx.Response(201, json={"id": 3})

    assert desk(answer, token="a.b.c").open(PROJECT)
    assert given == ["short-0", "short-1"]


HOSTILE: list[Any] = [
    {"data": {}, "annotations": [{"id": 1, "result": []}]},
    {"data": {"digest": 7}, "annotations": [{"id": 2, "result": []}]},
    {"data": {"digest": "a" * 64}, "annotations": [{"id": 3, "result": "x", "completed_by": {"id": 9}}]},
    {"data": {"digest": "a" * 64}},
]


def test_annotations_of_no_task_or_no_form_are_strays() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/users/":
            return httpx.Response(200, json=[])
        if request.url.path == "/api/tasks/":
            return httpx.Response(200, json={"tasks": HOSTILE, "total": len(HOSTILE)})
        return httpx.Response(200, json={"results": [], "count": 0, "id": 1})

    batch = desk(answer).collect(PROJECT)
    assert batch.annotations == []
    assert [stray.id for stray in batch.strays] == ["digits-1-", "digits-2-", "digits-3-"]


def test_what_changed_is_asked_for_and_everything_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    task = {"data": {"digest": "a" * 64}, "annotations": [], "updated_at": "2026-06-01T12:00:00.500000Z"}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/users/":
            return httpx.Response(200, json=[])
        if request.url.path == "/api/tasks/":
            items = json.loads(request.url.params["query"])["filters"]["items"]
            asked.append({item["filter"]: item["value"] for item in items})
            return httpx.Response(200, json={"tasks": [task], "total": 1})
        return httpx.Response(200, json={"results": [], "count": 0, "id": 1})

    studio = desk(answer)
    now = time.monotonic()
    for seconds in (0, 60, 120, 4000):
        monkeypatch.setattr("services.labels.studio.time.monotonic", lambda later=seconds: now + later)
        studio.collect(PROJECT)
    everything = {"filter:tasks:total_annotations": 0, "filter:tasks:cancelled_annotations": 0}
    changed = {"filter:tasks:updated_at": "2026-06-01T11:50:00.500000Z"}
    assert asked == [everything, changed, changed, everything]


def test_a_token_may_come_later() -> None:
    late = LateDesk("http://studio", lambda: "", blind=True, hook=None)
    with pytest.raises(Unavailable, match="no token for Label Studio yet"):
        late.collect(PROJECT)
