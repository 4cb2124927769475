from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request

from services.common.errors import Unavailable
from tests.support.asgi import serving
from workflows.simulation.servers import ask, digest_of
from workflows.simulation.world import Input

INPUTS = [Input(f"sheet-{n // 4}--{n}.png", str(n % 3), "camera-1", b"%d" % n) for n in range(24)]


def server(failing: bytes = b"") -> tuple[FastAPI, list[dict[str, Any]]]:
    """Says the truth of all inputs but those of class 2, which it calls 0."""
    app, asked = FastAPI(), list[dict[str, Any]]()

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, str]:
        body = await request.body()
        if body == failing:
            raise HTTPException(503)
        asked.append({"body": body, "source": request.query_params["source"]})
        return {"label": str(int(body) % 3 % 2)}

    return app, asked


def test_every_input_is_asked_once_in_order_with_its_source() -> None:
    app, asked = server()
    with serving(app) as http:
        found = ask(str(http.base_url), INPUTS)
    assert [one["body"] for one in asked] == [one.data for one in INPUTS]
    assert {one["source"] for one in asked} == {"camera-1"}
    assert found.right == [n % 3 != 2 for n in range(24)]


def test_each_group_has_a_mark_of_its_own() -> None:
    app, _ = server()
    with serving(app) as http:
        found = ask(str(http.base_url), INPUTS)
    assert len(found.marks) == 6
    assert found.marks == sorted(set(found.marks))
    assert found.end >= found.marks[-1]


def test_a_server_that_fails_is_trouble_and_no_wrong_answer() -> None:
    app, _ = server(failing=b"7")
    with serving(app) as http, pytest.raises(Unavailable, match="did not answer"):
        ask(str(http.base_url), INPUTS)


def test_an_input_is_known_by_the_digest_of_its_bytes() -> None:
    assert digest_of(INPUTS[3]) == hashlib.sha256(b"3").hexdigest()
