"""Label Studio as the cluster runs it: on a real PostgreSQL, with nothing of its own on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from services.common.errors import InvalidInput
from services.labels.studio import StudioDesk
from services.labels.task import Annotation, Answer, Project, Record, Task
from tests.support.database import Database
from tests.support.label_studio import USER, Person, label_studio_on
from tests.support.servers import Server

PASSWORD = "a-word-nobody-shall-read"
FIRST = {"password": "the-first-password", "user_token": "a" * 40, "key": "k" * 50}
SECOND = {"password": "another-password", "user_token": "b" * 40, "key": "k" * 50}
PROJECT = Project("digits", "image", "single-label", ("1", "2"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # PostgreSQL runs as another user, who cannot enter the folders that pytest makes.
    with tempfile.TemporaryDirectory(prefix="rookery-studio-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def database(place: Path) -> Iterator[Database]:
    made = Database(place / "database", PASSWORD, "label_studio")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(place: Path, database: Database) -> Iterator[Server]:
    made = label_studio_on(database, place / "first", **FIRST)
    made.start(seconds=600)
    yield made
    made.stop()


def task(number: int) -> Task:
    record = Record(1_780_315_200_000, f"{number:064x}", "7", ("1", "2"), (0.7, 0.3), 0.1)
    return Task("digits", record, "unsure", "png", 1 + number % 2)


def collected(server: Server, words: dict[str, str]) -> list[Annotation]:
    with closing(StudioDesk(server.url, words["user_token"])) as desk:
        batch = desk.collect(PROJECT)
    assert batch.strays == []
    return batch.annotations


def test_tasks_and_answers_are_in_the_database_and_a_new_password_is_taken_over(
    place: Path, database: Database, server: Server
) -> None:
    with closing(StudioDesk(server.url, FIRST["user_token"])) as desk:
        assert desk.open(PROJECT)
        desk.put(PROJECT, [task(n) for n in range(10)], lambda _: {"input": "http://127.0.0.1:9/x.png"})
    person = Person(server.url, "ann", FIRST["user_token"])
    tasks = person.tasks(person.projects()["Rookery: digits"])
    assert {one["data"]["digest"]: one["overlap"] for one in tasks} == {
        task(n).digest: task(n).overlap for n in range(10)
    }
    person.answer(tasks[0]["id"], "2")
    person.client.close()
    (answer,) = collected(server, FIRST)
    assert (answer.annotator, answer.answer) == (person.name, Answer(("2",)))
    assert answer.digest == tasks[0]["data"]["digest"]
    server.stop()
    shutil.rmtree(place / "first" / "data")
    again = label_studio_on(database, place / "second", **SECOND)
    again.start(seconds=120)
    try:
        assert collected(again, SECOND) == [answer]
        with pytest.raises(InvalidInput, match="401"):
            collected(again, FIRST)
        with httpx.Client(base_url=again.url, trust_env=False, timeout=30) as browser:
            browser.get("/user/login/")
            form = {"email": USER, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            for words, status in ((FIRST, 200), (SECOND, 302)):
                done = browser.post("/user/login/", data=form | {"password": words["password"]})
                assert done.status_code == status
    finally:
        again.stop()


def test_it_reads_no_files_and_no_addresses_for_those_who_label(place: Path, database: Database) -> None:
    made = label_studio_on(database, place / "third", **SECOND)
    made.start(seconds=120)
    headers = {"Authorization": f"Token {SECOND['user_token']}"}
    try:
        with httpx.Client(base_url=made.url, headers=headers, trust_env=False, timeout=30) as client:
            assert client.get("/data/local-files/?d=etc/passwd").status_code in (403, 404)
            number = client.post("/api/projects", json={"title": "mine"}).json()["id"]
            local = {"project": number, "path": "/etc", "use_blob_urls": True}
            assert client.post("/api/storages/localfiles", json=local).status_code >= 400
            # The address of its own health check: what it answers would be a task.
            done = client.post(f"/api/projects/{number}/import", data={"url": f"{made.url}/health"})
            assert done.status_code >= 400
    finally:
        made.stop()


def test_no_secret_is_in_arguments_or_log(server: Server, place: Path) -> None:
    text = "".join(path.read_text() for path in place.glob("*/label-studio.log"))
    for word in (PASSWORD, *FIRST.values(), *SECOND.values()):
        assert word not in text
        assert word not in " ".join(server.command)
