"""News of a page: the parts that changed, soon, and nothing while nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx

from tests.support.board import World, board, log_in


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, str]]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_all_parts_first_and_then_what_changes(world: World) -> None:
    # The board of the session may still remember the runs of another test.
    with board(world) as client:
        log_in(client)
        with client.stream("GET", "/live", params={"path": "/runs"}, timeout=60) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            found = events(answer.iter_lines())
            name, parts = next(found)
            assert name == "parts" and "None yet" in parts["runs"]
            run = world.run("train-model", {"application": "digits"})
            name, parts = next(found)
            assert name == "parts" and run.name in parts["runs"] and list(parts) == ["runs"]


def test_a_logout_elsewhere_ends_the_news(world: World) -> None:
    with board(world) as client:
        csrf = log_in(client)
        with client.stream("GET", "/live", params={"path": "/runs"}, timeout=60) as answer:
            found = events(answer.iter_lines())
            next(found)
            client.post("/logout", data={"csrf": csrf})
            assert ("leave", {}) in list(found)


def test_nobody_gets_news_without_a_login(client: httpx.Client) -> None:
    assert client.get("/live").status_code == 401


def test_one_reader_too_many_is_told_to_come_later(world: World) -> None:
    with board(world, viewers=1) as client:
        log_in(client)
        with client.stream("GET", "/live", timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            done = client.get("/live")
            assert done.status_code == 503 and "retry-after" in done.headers
            del lines
