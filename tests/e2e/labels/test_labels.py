"""Labelling with the real Label Studio: tasks with pictures and sounds, two people, its page in a browser, bad days."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from services.data.source import load_dataset
from services.data.trainable import check_trainable
from tests.support.bundles import tone_wav
from tests.support.label_studio import Person, facts, label_studio, labels, token_of
from tests.support.labelling import Log, shifted_png
from tests.support.servers import Server

HOSTILE = "<img src=x onerror=alert(1)> & 'co'"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Studio:
    """The server, its token, and two people."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = label_studio(folder)
        self.server.start(seconds=600)
        self.token = token_of(folder)
        self.people = [Person(self.server.url, name, self.token) for name in ("ann", "bob")]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("studio"))
    yield made
    for person in made.people:
        person.client.close()
    made.server.stop()


@pytest.fixture
def started() -> Iterator[Callable[[Server], Server]]:
    with ExitStack() as stack:

        def start(server: Server) -> Server:
            stack.callback(server.stop)
            return server.start()

        yield start


def service(folder: Path, studio: Studio, **settings: object) -> Server:
    defaults = {
        "monitor_store": folder / "monitor",
        "applications_dir": folder / "applications",
        "studio_url": studio.server.url,
        "credentials": studio.folder / "studio" / "credentials.json",
        "settle_seconds": 0,
        "random_share": 0.5,
        "overlap_share": 1,
        "poll_seconds": 3600,
        "quiet_seconds": 2,
        "choose_seconds": 86400,
        "event_items": 5,
    }
    return labels(folder, **(defaults | settings))


def served(folder: Path, application: str, inputs: list[tuple[bytes, str]]) -> Log:
    """Inputs that production answered during the last hour, not at all sure."""
    log = Log(folder / "monitor", application)
    log.serve(inputs, at=datetime.now(UTC) - timedelta(minutes=30), confidence=[0.4] * len(inputs))
    return log


def call(server: Server, method: str, path: str, application: str, status: int = 200) -> dict[str, Any]:
    answer = httpx.request(
        method, f"{server.url}{path}?application={application}", trust_env=False, timeout=120
    )
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def wait_for(what: str, found: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.3)


def tones(folder: Path) -> tuple[str, list[tuple[bytes, str]]]:
    """A folder of sounds of two classes, one with a hostile name, and sounds that are not in it."""
    pitches = {"curlew": 700.0, HOSTILE: 2_000.0}
    for name, hz in pitches.items():
        for n in range(8):
            path = folder / "tones" / name / f"{n}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tone_wav(hz + 5 * n, 1.0))
    fresh = [(tone_wav(hz + 3 + 7 * n, 1.5), name) for n in range(6) for name, hz in pitches.items()]
    return str(folder / "tones"), fresh


class Arbiter:
    """Takes events, after refusing the first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.refusals = 1
        arbiter = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                refused = arbiter.refusals > 0
                arbiter.refusals -= refused
                if not refused:
                    arbiter.events.append(json.loads(body))
                self.send_response(503 if refused else 202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def arbiter() -> Iterator[Arbiter]:
    made = Arbiter()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_two_people_label_and_the_dataset_grows(
    tmp_path: Path, studio: Studio, started: Callable[[Server], Server], arbiter: Arbiter
) -> None:
    log = served(tmp_path, "digits", [shifted_png(n) for n in range(60)])
    facts(tmp_path, digits="digits?items=300")
    desk = started(service(tmp_path, studio, arbiter_url=arbiter.url, per_day=24))
    queue = lambda: call(desk, "GET", "/queue", "digits")  # noqa: E731
    wait_for("the sending of the first tasks", lambda: queue()["open"] == 24 and not queue()["to_send"])
    number = studio.people[0].projects()["Rookery: digits"]
    tasks = studio.people[0].tasks(number)
    assert len(tasks) == 24
    shown = [task for task in tasks if task["predictions"]]
    assert len(shown) == 12
    assert {task["overlap"] for task in tasks} == {2}
    result = shown[0]["predictions"][0]["result"][0]
    assert (result["type"], shown[0]["predictions"][0]["model_version"]) == ("choices", "version 1")
    for person in studio.people:
        for task in tasks:
            person.answer(task["id"], log.truth[task["data"]["digest"]])
    wait_for("the bell, the answers and a version", lambda: queue()["done"] == 24 and queue()["items"] == 24)
    found = queue()
    assert found["agreement"] == 1.0
    assert found["accuracy"]["count"] == 12
    dataset = load_dataset(found["source"], cache=tmp_path / "cache")
    check_trainable(dataset)
    fresh = {item.sha256: item.primary for item in dataset.items if item.id.startswith("labelled/")}
    assert fresh == {task["data"]["digest"]: log.truth[task["data"]["digest"]] for task in tasks}
    name = f"{found['version']:06d}.json"
    content = json.loads((Path(found["source"].partition("?")[0]) / "versions" / name).read_text())
    assert {word["by"] for item in content["items"] for word in item["annotations"]} == {
        person.name for person in studio.people
    }
    call(desk, "POST", "/sync", "digits")
    call(desk, "POST", "/sync", "digits")
    assert {event["kind"] for event in arbiter.events} == {"labels"}
    assert len({event["subject"] for event in arbiter.events}) == len(arbiter.events)
    assert (
        sum(event["detail"]["new"] for event in arbiter.events) == arbiter.events[-1]["detail"]["items"] >= 20
    )


def test_the_page_shows_a_picture_and_a_sound_and_runs_no_script_of_a_name(
    tmp_path: Path, studio: Studio, started: Callable[[Server], Server]
) -> None:
    from playwright.sync_api import sync_playwright

    source, fresh = tones(tmp_path)
    facts(tmp_path, birds=source, scans="digits?items=300")
    served(tmp_path, "birds", fresh)
    served(tmp_path, "scans", [shifted_png(n) for n in range(500, 510)])
    desk = started(service(tmp_path, studio, per_day=10, random_share=0.1))
    for name in ("birds", "scans"):
        wait_for(f"the tasks of {name}", lambda name=name: call(desk, "GET", "/queue", name)["open"] == 10)  # type: ignore[misc]
        wait_for("sending", lambda name=name: not call(desk, "GET", "/queue", name)["to_send"])  # type: ignore[misc]
    person = studio.people[0]
    projects = person.projects()
    alerts: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1300, "height": 900})
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        page.goto(f"{studio.server.url}/user/login/")
        page.fill("input[name=email]", person.name)
        page.fill("input[name=password]", person.password)
        page.click("button[type=submit]")
        page.wait_for_function("!location.pathname.includes('login')")
        for name, word in (("scans", "(something else)"), ("birds", HOSTILE)):
            number = projects[f"Rookery: {name}"]
            task = next(task for task in person.tasks(number) if task["predictions"])
            page.goto(f"{studio.server.url}/projects/{number}/data?task={task['id']}")
            page.get_by_text(word).first.wait_for()
            page.wait_for_function(
                "[...document.images].some(i => i.src.includes('/media/') && i.naturalWidth > 0)"
            )
            if name == "birds":
                page.wait_for_selector("audio, canvas", state="attached")
            page.wait_for_timeout(1500)
            page.screenshot(path=tmp_path / f"{name}.png")
            assert (tmp_path / f"{name}.png").stat().st_size > 20_000
        browser.close()
    assert alerts == []


def test_away_and_killed_nothing_is_lost_and_nothing_twice(
    tmp_path: Path, studio: Studio, started: Callable[[Server], Server]
) -> None:
    log = served(tmp_path, "numbers", [shifted_png(n) for n in range(700, 740)])
    facts(tmp_path, numbers="digits?items=300")
    away = service(tmp_path, studio, studio_url="http://127.0.0.1:9", per_day=20)
    started(away)
    wait_for("the choice", lambda: call(away, "GET", "/queue", "numbers")["to_send"] == 20)
    answer = call(away, "POST", "/sync", "numbers", 503)
    assert "Label Studio does not answer" in answer["message"]
    away.kill()
    desk = service(tmp_path, studio, per_day=20)
    desk.start(wait=False)
    person = studio.people[0]
    wait_for("the project", lambda: "Rookery: numbers" in person.projects())
    desk.kill()
    started(desk)
    wait_for("the sending", lambda: call(desk, "GET", "/queue", "numbers")["to_send"] == 0)
    number = person.projects()["Rookery: numbers"]
    tasks = person.tasks(number)
    digests = [task["data"]["digest"] for task in tasks]
    assert len(digests) == len(set(digests)) == 20
    for one in studio.people:
        for task in tasks:
            one.answer(task["id"], log.truth[task["data"]["digest"]])
    stray = person.client.post(
        f"/api/projects/{number}/import?return_task_ids=true",
        json=[{"data": {"input": "https://example.org/x.png", "digest": "f" * 64}}, {"data": {"input": "y"}}],
        headers={"X-CSRFToken": person.client.cookies["csrftoken"], "Referer": studio.server.url},
    )
    for task in stray.json()["task_ids"]:
        person.answer(task, "3")
    person.answer(tasks[0]["id"], "(something else)", other="<script>alert(2)</script>")
    person.answer(tasks[1]["id"], "(something else)", other="a grebe")
    wait_for(
        "the version",
        lambda: (
            call(desk, "POST", "/sync", "numbers")["application"] == "numbers"
            and call(desk, "GET", "/queue", "numbers")["strays"] == 3
        ),
    )
    found = call(desk, "GET", "/queue", "numbers")
    assert found["items"] == 19
    assert found["gate"]["state"] == "passed"
    assert len(list((tmp_path / "labels" / "datasets" / "numbers" / "versions").glob("*.json"))) <= 3
