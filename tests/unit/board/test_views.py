"""Pages and their parts: hostile names are only text, and what is away is said."""

from __future__ import annotations

import time

import httpx
import pytest

from services.board.views import unlike
from tests.support.board import HOSTILE, PAGE, World, board, log_in

PATHS = (
    "/",
    "/applications/digits",
    "/applications/digits/staging",
    "/runs",
    "/decisions",
    "/labels",
    "/actions",
    "/submit",
)


def read(client: httpx.Client, path: str, wanted: str = "") -> str:
    """A page, once what it asks in the background has come."""
    end = time.monotonic() + 60
    client.get(path, headers=PAGE)
    while True:
        time.sleep(0.2)
        done = client.get(path, headers=PAGE)
        assert done.status_code == 200, done.text
        if wanted in done.text:
            return done.text
        assert time.monotonic() < end, f"{wanted} is not on {path}"


@pytest.mark.parametrize("path", PATHS)
def test_hostile_names_are_text(client: httpx.Client, world: World, path: str) -> None:
    log_in(client, "<b>Ada</b> & 'co'")
    written = world.run("train-model", {"application": "digits", "data-source": HOSTILE})
    written.end(written.step("start", message=HOSTILE), "Failed", HOSTILE)
    text = read(client, path, written.name if path in ("/", "/runs", "/applications/digits") else "")
    assert "<img src=x" not in text and "<script>" not in text and "<b>Ada" not in text
    assert "&lt;b&gt;Ada" in text
    assert "{{7*7}}" in text or "7*7" not in text


def test_an_environment_tells_all_that_is_known(client: httpx.Client) -> None:
    log_in(client)
    text = read(client, "/applications/digits/staging", "4000 predictions")
    for word in ("From the data to the running memory", "v1", "Promote to canary", "Promotion history"):
        assert word in text
    assert "&#34;&gt;&lt;img src=x" in text and "4000 predictions" in text


def test_decisions_and_the_queue(client: httpx.Client) -> None:
    log_in(client)
    assert "rule cooldown" in read(client, "/decisions", "cooldown")
    text = read(client, "/labels", "93.0 %")
    assert "93.0 %" in text and "90.0 % to 95.0 %" in text and "80 labels" in text
    assert 'href="http://studio.example:5000"' in text and "Agreement: passed" in text


def test_a_workflow_shows_its_stages(client: httpx.Client, world: World) -> None:
    log_in(client)
    written = world.run("promote-model", {
        "source-environment": "staging", "target-environment": "canary", "model-version": "1",
    })  # fmt: skip
    written.step("approve", kind="Suspend")
    text = read(client, f"/runs/{written.name}", "waits for you")
    assert "waits for you" in text and f"/runs/{written.name}/resume" in text
    assert "staging → canary, v1" in text


@pytest.mark.parametrize(("code", "shown"), [("3", "refused"), ("1", "failed")])
def test_a_refusal_is_told_from_a_failure(client: httpx.Client, world: World, code: str, shown: str) -> None:
    log_in(client)
    written = world.run("train-model", {"application": "digits"})
    step = written.step("evaluate")
    step.exit_code = code
    written.end(step, "Failed", f"exit code {code}")
    written.save("Failed")
    text = read(client, f"/runs/{written.name}", f">{shown}</span>")
    assert f">{shown}</span>" in text
    assert f">{'failed' if shown == 'refused' else 'refused'}</span>" not in text


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/runs/none-xxxxx", "/runs/..%2f..%2fetc", "/applications/none", "/applications/digits/moon",
     "/applications/%3Cscript%3E", "/live?path=/nothing"],
)  # fmt: skip
def test_what_is_not_there_is_said(client: httpx.Client, path: str) -> None:
    log_in(client)
    done = client.get(path, headers=PAGE)
    assert done.status_code in (404, 422) and "<script>alert" not in done.text


@pytest.mark.parametrize("away", [{"all"}, {"monitor", "arbiter", "labels"}])
def test_services_that_are_away_are_said_and_the_page_is_there(world: World, away: set[str]) -> None:
    world.away = away
    with board(world) as client:
        log_in(client)
        told = ("/applications/digits/staging", "/decisions", "/labels")
        text = "".join(read(client, path) for path in told)
        time.sleep(0.3)
        text += "".join(read(client, path) for path in told)
        assert "is away" in text and "<img src=x" not in text
        assert "Promotion history" in text


def test_services_that_hang_hold_no_page_up(world: World) -> None:
    world.slow = 5
    with board(world, page_seconds=0.2, ask_seconds=1) as client:
        log_in(client)
        read(client, "/")
        for path in PATHS:
            began = time.monotonic()
            assert client.get(path, headers=PAGE).status_code == 200
            assert time.monotonic() - began < 10, path


@pytest.mark.parametrize(
    "decisions", [[{}], [{"verdict": {"a": 1}}], [{"events": 7}], [{"events": [[1]], "time": "?"}], [1], {"x": 1}]
)  # fmt: skip
def test_an_answer_of_another_shape_spoils_no_page(world: World, decisions: object) -> None:
    world.decisions = decisions  # type: ignore[assignment]
    world.queue = {"accuracy": {"low": 0.1}, "gate": 7}
    world.drift = {"findings": [{"name": "a"}], "histograms": {"a": {"reference": "x"}}}
    with board(world) as client:
        log_in(client)
        assert "digits" in read(client, "/")
        assert "Promotion history" in read(client, "/applications/digits/staging")


def test_only_parts_that_changed_are_news() -> None:
    assert unlike({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"b": "3", "c": "4"}  # type: ignore[dict-item]
    assert unlike({"a": "1"}, {}) == {"a": ""}  # type: ignore[dict-item]
