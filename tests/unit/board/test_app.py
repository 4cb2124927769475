"""The board as a service: headers, counters, health, and no page for strangers."""

from __future__ import annotations

import httpx
import pytest

from tests.support.board import PAGE, World, board, log_in

READ = ("/", "/applications/digits", "/runs", "/decisions", "/labels", "/actions", "/submit", "/live",
        "/promote?application=digits&from=staging&to=canary", "/rollback?application=digits&environment=staging",
        "/verify?application=digits&environment=staging")  # fmt: skip
DO = ("/submit", "/promote", "/rollback", "/logout", "/runs/x/approve", "/runs/x/cancel")


@pytest.mark.parametrize("path", READ)
def test_strangers_read_nothing(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 401
    done = client.get(path, headers=PAGE)
    assert done.status_code == 303 and done.headers["location"].startswith("/login?to=/")


def test_a_stranger_is_led_on_to_the_whole_address_after_the_login(client: httpx.Client) -> None:
    wanted = "/promote?application=digits&from=staging&to=canary"
    to = client.get(wanted, headers=PAGE).headers["location"]
    page = client.get(to, headers=PAGE)
    assert f'value="{wanted.replace("&", "&amp;")}"' in page.text


@pytest.mark.parametrize("path", ["/promote?application=digits", "/rollback", "/verify?application=digits"])
def test_an_address_that_lacks_a_parameter_is_answered_with_a_page(client: httpx.Client, path: str) -> None:
    log_in(client)
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == 422 and "text/html" in answer.headers["content-type"]
    assert "Field required" in answer.text
    assert "Field required" in client.get(path).json()["message"]


@pytest.mark.parametrize("path", DO)
def test_strangers_do_nothing(client: httpx.Client, world: World, path: str) -> None:
    assert client.post(path, data={"csrf": "x"}).status_code == 401
    assert client.post(path, headers={"cookie": "rookery-board-8085=guess"}, data={}).status_code == 401
    assert not (world.home / "board" / "actions.jsonl").exists()


def test_every_answer_lets_browsers_run_our_files_only(client: httpx.Client) -> None:
    log_in(client)
    for path in ("/login", "/", "/nothing", "/healthz", "/static/board.js"):
        headers = client.get(path, headers=PAGE).headers
        policy = headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers or headers["server"] == "uvicorn"
    assert client.get("/").headers["cache-control"] == "no-store"


def test_health_and_counters_need_no_login(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert 'rookery_board_pages_total{status="200"}' in client.get("/metrics").text


def test_no_platform_is_not_ready(world: World) -> None:
    world.platform = world.platform.model_copy(update={"home": world.home / "elsewhere"})
    with board(world) as client:
        assert client.get("/readyz").status_code == 404
        log_in(client)
        assert "No application yet" in client.get("/", headers=PAGE).text


def test_only_files_of_ours_are_given_out(client: httpx.Client) -> None:
    assert client.get("/static/style.css").status_code == 200
    for path in ("/static/../templates/base.html", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404
