"""A folder as a desk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from services.labels.desk import FolderDesk
from services.labels.task import Answer, Project, Record, Task

PROJECT = Project("digits", "image", "single-label", ("1", "2"))
DIGEST = "a" * 64


@pytest.fixture
def desk(tmp_path: Path) -> FolderDesk:
    made = FolderDesk(tmp_path)
    assert made.open(PROJECT)
    record = Record(0, DIGEST, "1", ("1",), (0.6,), 0.1)
    for _ in range(2):
        made.put(PROJECT, [Task("digits", record, "novel", "png")], lambda _: {"input": "http://here"})
    return made


def test_a_task_lies_there_once_with_its_links(desk: FolderDesk, tmp_path: Path) -> None:
    (path,) = (tmp_path / "digits" / "tasks").glob("*")
    assert json.loads(path.read_text())["input"] == "http://here"
    assert not desk.open(PROJECT)


def test_the_last_answer_of_a_person_counts(desk: FolderDesk) -> None:
    desk.answer("digits", DIGEST, "ann", Answer(("1",)))
    desk.answer("digits", DIGEST, "ann", Answer(("2",)))
    desk.answer("digits", DIGEST, "bob@example.org", Answer(sure=False))
    said = {one.annotator: one.answer for one in desk.collect(PROJECT).annotations}
    assert said == {"ann": Answer(("2",)), "bob@example.org": Answer(sure=False)}


@pytest.mark.parametrize(
    ("digest", "person"), [("../x", "ann"), (DIGEST, "../ann"), (DIGEST, ""), ("A" * 64, "a")]
)
def test_no_name_leads_elsewhere(desk: FolderDesk, digest: str, person: str) -> None:
    with pytest.raises(InvalidInput):
        desk.answer("digits", digest, person, Answer(("1",)))


def test_there_is_no_such_task(desk: FolderDesk) -> None:
    with pytest.raises(NotFound):
        desk.answer("digits", "b" * 64, "ann", Answer(("1",)))
