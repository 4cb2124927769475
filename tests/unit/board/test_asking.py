"""Other services: short waits, bounded answers, one sentence for each trouble."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from fastapi import FastAPI, Response

from services.board.asking import Asker, NotRunning
from services.common.errors import Unavailable
from tests.support.asgi import serving
from tests.support.servers import free_port


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    app, over = FastAPI(), threading.Event()

    @app.get("/good")
    def good() -> dict[str, int]:
        return {"a": 1}

    @app.get("/slow")
    def slow() -> dict[str, int]:
        over.wait(60)
        return {}

    @app.get("/bad")
    def bad() -> Response:
        return Response('{"message": "the store is away"}', 503, media_type="application/json")

    @app.get("/large")
    def large() -> Response:
        return Response(b"x" * (5 << 20))

    @app.get("/elsewhere")
    def elsewhere() -> Response:
        return Response(status_code=302, headers={"location": "http://192.0.2.1/"})

    with serving(app) as client:
        yield str(client.base_url).rstrip("/")
        over.set()


@pytest.fixture
def asker() -> Iterator[Asker]:
    made = Asker(30)
    yield made
    made.close()


def test_an_answer(asker: Asker, base: str) -> None:
    assert asker.json(base, "/good") == {"a": 1}
    assert asker.answers(base, "/good")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/bad", "answers 503: the store is away"),
        ("/large", "too large"),
        ("/elsewhere", "answers 302"),
        ("/none", "answers 404"),
    ],
)
def test_trouble_is_said(asker: Asker, base: str, path: str, said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        asker.json(base, path)


def test_a_slow_one_is_not_waited_for(base: str) -> None:
    with closing(Asker(0.5)) as asker, pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
        asker.json(base, "/slow")


def test_nobody_and_nowhere(asker: Asker) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        asker.json(f"http://127.0.0.1:{free_port()}", "/")
    with pytest.raises(NotRunning):
        asker.json("", "/queue")
