"""A body over the bound is refused before anybody looks at it; any other arrives as it was sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from httpx import Client

from services.common.bounded import BoundedBody
from tests.support.asgi import serving


@pytest.fixture
def client() -> Iterator[Client]:
    app = FastAPI()
    app.add_middleware(BoundedBody, most_bytes=10)

    @app.post("/")
    async def take(request: Request) -> dict[str, str]:
        return {"body": (await request.body()).decode()}

    @app.get("/")
    async def show() -> dict[str, str]:
        return {}

    with serving(app) as made:
        yield made


def pieces(count: int) -> Iterator[bytes]:
    yield from [b"abcde"] * count


def test_what_fits_arrives(client: Client) -> None:
    assert client.get("/").status_code == 200
    assert client.post("/").json() == {"body": ""}
    assert client.post("/", content=b"0123456789").json() == {"body": "0123456789"}
    assert client.post("/", content=pieces(2)).json() == {"body": "abcdeabcde"}


def test_more_is_refused_whether_its_length_is_said_or_not(client: Client) -> None:
    for content in (b"0123456789x", pieces(3)):
        answer = client.post("/", content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, "too-large")
