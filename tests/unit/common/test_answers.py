from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from services.common.answers import add_error_answers
from services.common.errors import Conflict, RookeryError, Unavailable


@pytest.mark.parametrize(
    ("path", "status", "code", "retry"),
    [
        ("/conflict", 409, "conflict", None),
        ("/unavailable", 503, "unavailable", "2"),
        ("/number?n=x", 422, "invalid-input", None),
        ("/number", 422, "invalid-input", None),
    ],
)
def test_every_error_has_the_same_body(path: str, status: int, code: str, retry: str | None) -> None:
    app = FastAPI()
    add_error_answers(app)
    errors: dict[str, RookeryError] = {
        "conflict": Conflict("no", value=1),
        "unavailable": Unavailable("away"),
    }

    @app.get("/number")
    def number(n: int) -> int:
        return n

    @app.get("/{name}")
    def fail(name: str) -> None:
        raise errors[name]

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(path)

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry)
    assert set(answer.json()) == {"error", "message", "value", "allowed"}
    assert answer.json()["error"] == code


def test_a_body_that_is_no_json_is_said_to_be_none() -> None:
    app = FastAPI()
    add_error_answers(app)

    @app.post("/")
    def take(body: dict[str, int]) -> int:
        return len(body)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/", content='{"n": ', headers={"Content-Type": "application/json"})

    answer = asyncio.run(send())
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("the body is no JSON, at character ")


@pytest.mark.parametrize(
    ("method", "path", "code", "message", "allowed"),
    [
        ("GET", "/nowhere", "not-found", "there is nothing at this address", None),
        ("DELETE", "/", "wrong-method", "/ does not take this method", "POST"),
    ],
)
def test_what_no_route_takes_is_answered_in_the_same_way(
    method: str, path: str, code: str, message: str, allowed: str | None
) -> None:
    app = FastAPI()
    add_error_answers(app)

    @app.post("/")
    def take() -> None: ...

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path)

    answer = asyncio.run(send())
    assert answer.status_code == {"not-found": 404, "wrong-method": 405}[code]
    assert answer.headers.get("allow") == allowed
    told = answer.json()
    assert (told["error"], told["message"], told["allowed"]) == (code, message, allowed)
