"""The loop without a server: choose, answer, judge, publish; whatever dies in between, it is done once."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import Unavailable
from services.data.source import load_dataset
from services.data.trainable import check_trainable
from services.labels.desk import FolderDesk
from services.labels.office import Office
from services.labels.standing import standing
from services.labels.task import Answer
from tests.support.bundles import digit_png
from tests.support.labelling import (
    APPLICATION,
    LATER,
    NOON,
    Log,
    answer_all,
    digits,
    made,
    office,
    shifted_png,
    version_file,
    with_rules,
)


def test_from_what_was_served_to_a_dataset_that_can_be_trained_on(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    tasks = work.choose(APPLICATION, now=LATER)
    assert len(tasks) == 40
    assert sum(task.reason == "random" for task in tasks) == 20
    assert work.send(APPLICATION) == 40
    answer_all(work, log)
    done = work.sync(APPLICATION, now=LATER)
    assert done["version"] == 1 and done["answers"] == 80
    dataset = load_dataset(done["source"].replace("\\", "/"), cache=tmp_path / "cache")
    check_trainable(dataset)
    fresh = [item for item in dataset.items if item.id.startswith("labelled/")]
    assert len(fresh) == done["new"] == 40
    assert {item.primary for item in fresh} == {log.truth[item.sha256] for item in fresh}
    reasons = {task.digest: task.reason for task in tasks}
    assert {item.split for item in fresh if reasons[item.sha256] != "random"} == {"training"}
    assert {item.split for item in fresh if reasons[item.sha256] == "random"} >= {"training", "evaluation"}
    item = version_file(tmp_path, 1)["items"][0]
    assert {word["by"] for word in item["annotations"]} == {"ann", "bob"}
    assert item["predicted"]["version"] == "1"


def test_the_queue_tells_how_it_stands(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    assert standing(work, APPLICATION)["open"] == 0
    work.choose(APPLICATION, now=LATER)
    assert standing(work, APPLICATION, now=LATER)["to_send"] == 40
    work.send(APPLICATION)
    found = standing(work, APPLICATION, now=LATER)
    assert (found["open"], found["done"], found["agreement"]) == (40, 0, None)
    assert found["accuracy"]["estimate"] is None
    answer_all(work, log)
    work.sync(APPLICATION, now=LATER)
    found = standing(work, APPLICATION, now=LATER)
    assert (found["open"], found["done"], found["agreement"]) == (0, 40, 1.0)
    assert found["accuracy"]["estimate"] == 1.0
    assert found["accuracy"]["count"] == 20
    assert found["accuracy"]["low"] < 0.9
    assert found["accuracy"]["inputs"] == pytest.approx(60, rel=0.6)
    assert found["version"] == 1


def test_wrong_predictions_lower_the_estimate(tmp_path: Path) -> None:
    log = Log(tmp_path / "monitor")
    inputs = [shifted_png(n) for n in range(200)]
    said = [truth if n % 4 else str((int(truth) + 1) % 10) for n, (_, truth) in enumerate(inputs)]
    log.serve(inputs, said=said)
    work = office(tmp_path, log, with_rules(per_day=200, random=0.5))
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    work.sync(APPLICATION, now=LATER)
    accuracy = standing(work, APPLICATION, now=LATER)["accuracy"]
    assert accuracy["low"] < 0.75 < accuracy["high"]


def test_a_day_has_a_budget_that_grows_with_the_hours(tmp_path: Path) -> None:
    log, work = made(tmp_path, per_day=48)
    assert len(work.choose(APPLICATION, now=LATER)) == 48
    log.serve([shifted_png(n) for n in range(100, 400)], at=LATER, confidence=[0.1] * 300)
    assert work.choose(APPLICATION, now=LATER + timedelta(hours=5)) == []
    assert work.choose(APPLICATION, now=LATER + timedelta(minutes=5)) == []
    tomorrow = LATER.replace(hour=0) + timedelta(days=1, hours=1)
    assert len(work.choose(APPLICATION, now=tomorrow)) == 22
    assert len(work.place.book.known(APPLICATION)) == 70


def test_inputs_that_were_chosen_are_never_chosen_again(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    first = {task.digest for task in work.choose(APPLICATION, now=LATER)}
    log.serve([shifted_png(n) for n in range(60)], at=LATER, confidence=[0.1] * 60)
    second = work.choose(APPLICATION, now=LATER + timedelta(days=1))
    assert second and not first & {task.digest for task in second}


def test_an_input_that_comes_again_counts_for_accuracy_without_a_second_task(tmp_path: Path) -> None:
    log, work = made(tmp_path, count=30)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    work.sync(APPLICATION, now=LATER)
    log.serve([shifted_png(n) for n in range(30)], at=LATER, version="2")
    tomorrow = LATER + timedelta(days=1)
    assert work.choose(APPLICATION, now=tomorrow) == []
    accuracy = standing(work, APPLICATION, now=tomorrow)["accuracy"]
    assert accuracy["versions"]["2"]["count"] == 20


def test_an_input_that_nobody_kept_is_counted_not_asked(tmp_path: Path) -> None:
    log = Log(tmp_path / "monitor")
    log.serve([shifted_png(n) for n in range(10)], keep=False)
    work = office(tmp_path, log)
    assert work.choose(APPLICATION, now=LATER) == []
    found = standing(work, APPLICATION, now=LATER)
    assert (found["missing"], found["open"]) == (10, 0)
    assert found["accuracy"]["drawn"] == 10


def test_a_sync_without_news_makes_no_version(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    assert work.sync(APPLICATION, now=LATER)["version"] == 1
    again = work.sync(APPLICATION, now=LATER + timedelta(days=3))
    assert (again["version"], again["answers"], again["sent"]) == (None, 0, 0)


def test_the_desk_away_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)

    def away(*_: object) -> None:
        raise Unavailable("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr(work.place.desk, "put", away)
        with pytest.raises(Unavailable):
            work.sync(APPLICATION, now=LATER)
        assert standing(work, APPLICATION, now=LATER)["to_send"] == 40
    assert work.sync(APPLICATION, now=LATER)["sent"] == 40


def test_a_desk_that_was_emptied_gets_its_open_tasks_again(tmp_path: Path) -> None:
    _, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    first = work.place.book.tasks(APPLICATION, "sent")[0]
    desk.answer(APPLICATION, first.digest, "ann", Answer(("1",)), at=LATER)
    work.collect(APPLICATION)
    desk.folder = tmp_path / "another desk"
    assert work.send(APPLICATION) == 39


def test_answers_about_unknown_inputs_are_kept_apart(tmp_path: Path) -> None:
    _, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    folder = tmp_path / "desk" / APPLICATION / "annotations"
    folder.mkdir()
    (folder / f"{'f' * 64}.ann.json").write_text('{"annotator": "ann"}')
    (folder / f"{'e' * 64}.ann.json").write_text("<script>")
    task = work.place.book.tasks(APPLICATION, "sent")[0]
    (folder / f"{task.digest}.eve.json").write_text('{"annotator": 1, "at": "never", "labels": "x"}')
    work.collect(APPLICATION)
    reasons = {stray.id: stray.reason for stray in work.place.book.strays(APPLICATION)}
    assert len(reasons) == 3
    assert "no task of ours" in reasons[f"{'f' * 64}.ann.json"]
    assert "cannot be read" in reasons[f"{task.digest}.eve.json"]
    assert work.place.book.annotations(APPLICATION) == []


def test_the_arbiter_hears_of_enough_new_labels_once(tmp_path: Path) -> None:
    log, work = made(tmp_path)
    work.choose(APPLICATION, now=LATER)
    work.send(APPLICATION)
    answer_all(work, log)
    for _ in range(3):
        work.sync(APPLICATION, now=LATER)
    ((application, subject, body),) = work.place.book.events()
    assert application == body["application"] == APPLICATION
    assert body["kind"] == "labels" and body["detail"]["new"] == 40
    assert body["detail"]["source"].endswith("?version=1")
    work.place.book.told(APPLICATION, subject)
    work.sync(APPLICATION, now=LATER)
    assert work.place.book.events() == []


class Killed(BaseException):
    """As if the process had died here."""


STEPS = ["add_window", "move", "take", "decide", "judged", "place", "add_event", "objects.put", "desk.put"]


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=6), st.booleans())
@settings(max_examples=8, deadline=None)
def test_whatever_dies_the_end_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, deaths: list[tuple[str, int]], before: bool
) -> None:
    """Each death is before or after a write; then everything is opened anew and goes on."""
    folder = tmp_path_factory.mktemp("killed")
    log = Log(folder / "monitor")
    log.serve([shifted_png(n) for n in range(24)], confidence=[0.5] * 24)

    def through(work: Office) -> None:
        if not work.place.book.known(APPLICATION):
            work.choose(APPLICATION, now=LATER)
        work.send(APPLICATION)
        answer_all(work, log)
        work.sync(APPLICATION, now=LATER)

    for step, at in deaths:
        work = office(folder, log)
        with pytest.MonkeyPatch.context() as patch:
            _die(patch, work, step, at, before)
            with suppress(Killed):
                through(work)
        work.place.book.close()
    work = office(folder, log)
    through(work)
    versions = sorted(path.name for path in (folder / "datasets" / APPLICATION / "versions").glob("*.json"))
    assert versions == ["000001.json"]
    content = version_file(folder, 1)
    assert len({item["path"] for item in content["items"]}) == len(content["items"]) == 24
    assert len(work.place.book.tasks(APPLICATION, "sent")) == 24
    assert len(work.place.book.annotations(APPLICATION)) == 48
    assert len(work.place.book.events()) == 1
    work.place.book.close()


def _die(patch: pytest.MonkeyPatch, work: Office, step: str, at: int, before: bool) -> None:
    from services.monitor.objects import FolderObjects

    target: object = work.place.book
    name = step
    if step == "objects.put":
        target, name = FolderObjects, "put"
    elif step == "desk.put":
        target, name = work.place.desk, "put"
    whole, calls = getattr(target, name), [0]

    def dying(*given: object, **named: object) -> object:
        calls[0] += 1
        if calls[0] == at + 1 and before:
            raise Killed
        result = whole(*given, **named)
        if calls[0] == at + 1:
            raise Killed
        return result

    patch.setattr(target, name, dying)


@given(st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=6, deadline=None)
def test_invariants_over_many_days(tmp_path_factory: pytest.TempPathFactory, seed: int, days: int) -> None:
    """No input in two splits, no group in two splits over all versions, nothing of the base, holdout only by lot."""
    import random

    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("days")
    log = Log(folder / "monitor")
    work = office(folder, log, with_rules(per_day=20))
    splits: dict[str, str] = {}
    base = {item.sha256 for item in digits().items}
    for day in range(days):
        at = NOON + timedelta(days=day)
        for source in ("", "north", "south"):
            count = chance.randint(1, 15)
            inputs = [shifted_png(chance.randint(0, 400)) for _ in range(count)]
            sure = [chance.random() for _ in range(count)]
            log.serve(inputs, at=at + timedelta(minutes=20 * len(source)), source=source, confidence=sure)
        work.choose(APPLICATION, now=at + timedelta(hours=6))
        work.send(APPLICATION)
        answer_all(work, log, at=at + timedelta(hours=7))
        work.sync(APPLICATION, now=at + timedelta(hours=8))
    versions = sorted((folder / "datasets" / APPLICATION / "versions").glob("*.json"))
    assert versions
    for path in versions:
        content = json.loads(path.read_text())
        digests = [item["sha256"] for item in content["items"]]
        assert len(digests) == len(set(digests))
        assert not set(digests) & base
        for item in content["items"]:
            assert splits.setdefault(item["group"], item["split"]) == item["split"]
            assert item["split"] != "evaluation" or item["reason"] == "random"
            stored = (path.parent.parent / item["path"]).read_bytes()
            assert hashlib.sha256(stored).hexdigest() == item["sha256"]
    work.place.book.close()


def test_pictures_of_the_tests_are_pictures() -> None:
    assert digit_png(3) != shifted_png(3)[0]
