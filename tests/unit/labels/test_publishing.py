"""What comes of answers: who is believed, which items there are, and which never."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.data.source import load_dataset
from services.data.trainable import check_trainable
from services.labels.agreement import Gate
from services.labels.desk import FolderDesk
from services.labels.standing import standing
from services.labels.task import SOMETHING_ELSE, Answer
from services.media.image import decode_image
from tests.support.labelling import (
    APPLICATION,
    LATER,
    Log,
    answer_all,
    digits,
    made,
    office,
    shifted_png,
    version_file,
    with_rules,
)
from tests.support.media import npy


def test_what_the_base_has_is_neither_asked_nor_added(tmp_path: Path) -> None:
    log = Log(tmp_path / "monitor")
    base = digits()
    again = [(item.read(), item.primary) for item in base.items[:20]]
    log.serve([*again, *(shifted_png(n) for n in range(20))])
    work = office(tmp_path, log, with_rules(random=1.0))
    tasks = work.choose(APPLICATION, now=LATER)
    assert len(tasks) == 20
    assert not {task.digest for task in tasks} & {item.sha256 for item in base.items}
    work.send(APPLICATION)
    answer_all(work, log)
    # Meanwhile somebody puts five of them into the base.
    fresh = [replace(base.items[0], id=f"new/{task.digest}", sha256=task.digest) for task in tasks[:5]]
    work._bases[APPLICATION] = (time.monotonic(), replace(base, items=[*base.items, *fresh]))
    done = work.sync(APPLICATION, now=LATER)
    found = standing(work, APPLICATION, now=LATER)
    assert found["gate"]["left_out"] == {"the base has it already": 5}
    assert done["new"] == 15


def test_pixels_become_items_as_the_picture_that_people_saw_once(tmp_path: Path) -> None:
    log = Log(tmp_path / "monitor")
    pictures = [shifted_png(n) for n in range(20)]
    pixels = [(npy(decode_image(data)), truth) for data, truth in pictures]
    with_header = npy(decode_image(pictures[0][0])[:, :, None]), pictures[0][1]
    log.serve([*pixels, with_header])
    work = office(tmp_path, log, with_rules(random=1.0))
    tasks = work.choose(APPLICATION, now=LATER)
    assert len(tasks) == 21
    assert all(task.media_type == "png" and task.shown not in ("", task.digest) for task in tasks)
    work.send(APPLICATION)
    answer_all(work, log)
    done = work.sync(APPLICATION, now=LATER)
    assert work.place.book.verdict(APPLICATION)["left_out"] == {"another input is the same picture": 1}
    fresh = [i for i in load_dataset(done["source"], cache=tmp_path / "c").items if "labelled/" in i.id]
    assert len(fresh) == done["new"] == 20
    answers = {decode_image(data).tobytes(): truth for data, truth in pictures}
    for item in fresh:
        assert answers[decode_image(item.read()).tobytes()] == item.primary
    listed = version_file(tmp_path, 1)["items"]
    assert {item["input"] for item in listed} <= {task.digest for task in tasks}


def test_a_poisoned_annotator_is_put_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log, ("ann", "bob", "mallory"), wrong=("mallory",))
    done = work.sync(APPLICATION, now=LATER)
    dataset = load_dataset(done["source"], cache=tmp_path / "cache")
    fresh = [item for item in dataset.items if item.id.startswith("labelled/")]
    assert len(fresh) == 40
    assert all(item.primary == log.truth[item.sha256] for item in fresh)
    found = standing(work, APPLICATION, now=LATER)
    assert list(found["gate"]["aside"]) == ["mallory"]
    assert sum(found["aside"].values()) == 40
    assert len(work.place.book.annotations(APPLICATION)) == 120


def test_a_poisoned_batch_makes_no_version_and_later_good_answers_do(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log, ("ann", "mallory"), wrong=("mallory",))
    assert work.sync(APPLICATION, now=LATER)["version"] is None
    assert standing(work, APPLICATION, now=LATER)["gate"]["state"] == "refused"
    answer_all(work, log, ("bob",))
    done = work.sync(APPLICATION, now=LATER)
    assert done["version"] == 1
    assert done["new"] == 40


def test_one_person_alone_needs_the_gate_to_be_off(tmp_path: Path) -> None:
    log, work = made(tmp_path, overlap=0.0)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log, ("ann",))
    assert work.sync(APPLICATION, now=LATER)["version"] is None
    alone = office(tmp_path, log, with_rules(overlap=0.0, gate=Gate(alpha=0)))
    assert alone.sync(APPLICATION, now=LATER)["new"] == 40


def test_a_task_for_two_waits_for_the_second(tmp_path: Path) -> None:
    log, work = made(tmp_path, gate=Gate(alpha=0))
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log, ("ann",))
    assert work.sync(APPLICATION, now=LATER)["version"] is None
    assert standing(work, APPLICATION, now=LATER)["done"] == 0
    answer_all(work, log, ("bob",))
    assert work.sync(APPLICATION, now=LATER)["new"] == 40


def test_a_changed_mind_is_judged_again_and_makes_a_version(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    tasks = work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    work.sync(APPLICATION, now=LATER)
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    neither = (Answer(sure=False), Answer((SOMETHING_ELSE,)))
    for number, task in enumerate(tasks):
        for name in ("ann", "bob"):
            desk.answer(APPLICATION, task.digest, name, neither[number % 2], at=LATER)
    done = work.sync(APPLICATION, now=LATER)
    assert (done["version"], version_file(tmp_path, 2)["items"]) == (2, [])
    for task in tasks[:12]:
        for name in ("ann", "bob"):
            desk.answer(APPLICATION, task.digest, name, Answer((log.truth[task.digest],)), at=LATER)
    assert work.sync(APPLICATION, now=LATER)["version"] == 3
    assert len(version_file(tmp_path, 3)["items"]) == 12


def test_items_whose_answers_change_stay_until_that_is_judged(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    tasks = work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    work.sync(APPLICATION, now=LATER)
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    for task in tasks[:2]:
        for name in ("ann", "bob"):
            desk.answer(APPLICATION, task.digest, name, Answer(sure=False), at=LATER)
    done = work.sync(APPLICATION, now=LATER)
    assert (done["answers"], done["version"]) == (4, None)
    assert standing(work, APPLICATION, now=LATER)["gate"]["state"] == "not enough overlap"


HOSTILE = [
    "<script>alert(1)</script>", "../../etc/passwd", "a" * 500, "line\nbreak", "", "\x00", "x\u202ey", ".hidden",
    "(cannot tell)", "{{7*7}}", "'; DROP TABLE tasks; --", "$input",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_offered_or_put_apart_and_are_never_classes_by_themselves(
    tmp_path: Path, name: str
) -> None:
    log, work = made(tmp_path, count=20)
    tasks = work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    for who in ("ann", "bob"):
        desk.answer(APPLICATION, tasks[0].digest, who, Answer((), True, name), at=LATER)
    work.sync(APPLICATION, now=LATER)
    content = version_file(tmp_path, 1)
    labels = {label for item in content["items"] for label in item["labels"]}
    assert labels <= set(digits().labels)
    found = standing(work, APPLICATION, now=LATER)
    assert bool(found["offered"]) != bool(found["strays"])


def test_a_new_class_needs_consent_and_enough_inputs(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    tasks = work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    for task in tasks[:5]:
        for who in ("ann", "bob"):
            desk.answer(APPLICATION, task.digest, who, Answer((), True, "ten"), at=LATER)
    done = work.sync(APPLICATION, now=LATER)
    assert done["new"] == 35
    assert standing(work, APPLICATION, now=LATER)["offered"] == {"ten": 5}
    assert "ten" not in work.project(APPLICATION).classes
    assert work.allow(APPLICATION, "  ten ", "carol") == "ten"
    assert "ten" in work.project(APPLICATION).classes
    done = work.sync(APPLICATION, now=LATER)
    dataset = load_dataset(done["source"], cache=tmp_path / "cache")
    check_trainable(dataset)
    assert dataset.class_counts()["ten"] == 5
    with pytest.raises(InvalidInput, match="has this class already"):
        work.allow(APPLICATION, "3", "carol")
