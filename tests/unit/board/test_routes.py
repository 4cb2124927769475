"""Log in, do something, log out: over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.board import HOSTILE, PAGE, TOKEN, World, board, log_in


def lines(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (world.home / "board" / "actions.jsonl").read_text().splitlines()]


def test_the_cookie_is_for_this_site_and_no_script(client: httpx.Client) -> None:
    done = client.post("/login", data={"name": "Ada", "token": TOKEN, "to": "/runs"})
    assert done.headers["location"] == "/runs"
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert "secure" not in cookie


def test_behind_tls_the_cookie_says_so(world: World) -> None:
    with board(world, secure_cookie=True) as client:
        done = client.post("/login", data={"name": "Ada", "token": TOKEN})
        assert "secure" in done.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", "x"]
)
def test_a_login_leads_nowhere_else(client: httpx.Client, to: str) -> None:
    done = client.post("/login", data={"name": "Ada", "token": TOKEN, "to": to})
    assert done.headers["location"] == "/"


def test_a_wrong_token_is_refused_and_written_down(client: httpx.Client, world: World) -> None:
    done = client.post("/login", data={"name": HOSTILE[:30], "token": "wrong"})
    assert done.status_code == 401 and "set-cookie" not in done.headers and "<img src=x" not in done.text
    assert lines(world)[0]["outcome"] == "refused" and "wrong" not in json.dumps(
        lines(world)[0]["parameters"]
    )


def test_who_guesses_without_end_fills_no_log(world: World) -> None:
    with board(world) as client:
        for number in range(40):
            client.post("/login", data={"name": "Eve" if number % 2 else "", "token": "wrong"})
    assert len(lines(world)) == 10


def test_after_a_logout_the_old_cookie_is_nobody(client: httpx.Client, world: World) -> None:
    csrf = log_in(client)
    kept = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert client.post("/logout", data={"csrf": csrf}).headers["location"] == "/login"
    client.cookies.clear()
    assert client.get("/", headers={"cookie": kept}).status_code == 401
    assert [one["action"] for one in lines(world)] == ["login", "logout"]


def test_what_the_command_line_refuses_is_refused_here(client: httpx.Client, world: World) -> None:
    csrf = log_in(client)
    done = client.post(
        "/submit", data={"csrf": csrf, "template": "train-model", "application": "digits"}, headers=PAGE
    )
    assert done.status_code == 503 and "rookery up" in done.text
    done = client.post("/submit", data={"csrf": csrf, "template": "none"}, headers=PAGE)
    assert done.status_code == 422
    assert [one["outcome"] for one in lines(world)] == ["done", "refused", "refused"]


def test_a_promotion_is_shown_before_it_is_made(client: httpx.Client) -> None:
    log_in(client)
    text = client.get(
        "/promote", params={"application": "digits", "from": "staging", "to": "canary"}, headers=PAGE
    ).text
    assert "Promote v1 to canary" in text and "model version" in text
    text = client.get(
        "/promote", params={"application": "digits", "from": "staging", "to": "production"}, headers=PAGE
    ).text
    assert "skips no environment" in text and '<button class="primary">' not in text


def test_a_rollback_asks_for_the_reason(client: httpx.Client) -> None:
    log_in(client)
    path = "/rollback?application=digits&environment="
    assert "version 1" in client.get(path + "staging", headers=PAGE).text
    assert "Nothing is released" in client.get(path + "canary", headers=PAGE).text
    assert client.get(path + "..%2f..", headers=PAGE).status_code == 422


def test_an_approval_and_a_cancellation_reach_the_engine(client: httpx.Client, world: World) -> None:
    csrf = log_in(client)
    run = world.run("promote-model", {
        "source-environment": "staging", "target-environment": "canary", "model-version": "1",
        "approval": "required",
    })  # fmt: skip
    assert client.post(f"/runs/{run.name}/approve", data={"csrf": csrf}).status_code == 409
    assert client.post(f"/runs/{run.name}/explode", data={"csrf": csrf}).status_code == 422
    assert client.post("/runs/none-xxxxx/cancel", data={"csrf": csrf}).status_code == 404
    assert [one["outcome"] for one in lines(world)] == ["done", "refused", "refused"]


def test_verify_compares_anew_and_says_what_it_cannot(client: httpx.Client) -> None:
    log_in(client)
    done = client.get("/verify?application=digits&environment=staging", headers=PAGE)
    assert done.headers["location"] == "/applications/digits/staging/verify"
    text = client.get(done.headers["location"], headers=PAGE).text
    assert "Not verified" in text or "a moment" in text
