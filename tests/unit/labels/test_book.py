"""What is remembered: each thing once, each transaction whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from services.labels.book import Book
from services.labels.task import Annotation, Answer, Record, Stray, Task

APP = "digits"


def task(number: int) -> Task:
    record = Record(1000 + number, f"{number:064x}", "1", ("a", "b"), (0.6, 0.4), 0.1, "north")
    return Task(APP, record, "unsure", "png", 2)


def annotation(name: str, number: int = 1, label: str = "a", by: str = "ann") -> Annotation:
    return Annotation(name, f"{number:064x}", by, "2026-06-01T12:00:00+00:00", Answer((label,)))


@pytest.fixture
def book(tmp_path: Path) -> Book:
    made = Book(tmp_path / "book.sqlite")
    tasks = [task(n) for n in range(4)]
    draws = [(tasks[0].digest, 0.5, "1", "a")]
    made.add_window(APP, (0, 1000), "2026-06-01", "2026-06-01T12:00:00", tasks[:3], draws, 99, tasks[3:])
    return made


def test_a_window_is_there_whole_or_not_at_all(book: Book) -> None:
    assert (book.last_window(APP), book.spent(APP, "2026-06-01")) == (1000, (3, 1))
    assert book.counts(APP) == {"chosen": 3, "missing": 1}
    assert book.task(APP, f"{1:064x}") == task(1)
    assert book.draws(APP, 0) == [(1000, f"{0:064x}", 0.5, "1", "a")]
    with pytest.raises(sqlite3.IntegrityError):
        book.add_window(APP, (500, 1000), "2026-06-01", "now", [task(9)], [], 1)
    assert book.task(APP, f"{9:064x}") is None


def test_another_process_finds_it(book: Book, tmp_path: Path) -> None:
    book.move(APP, [f"{0:064x}"], "sent")
    book.close()
    again = Book(tmp_path / "book.sqlite")
    assert [one.digest for one in again.tasks(APP, "sent")] == [f"{0:064x}"]
    assert again.applications() == [APP]
    assert (tmp_path / "book.sqlite").stat().st_mode & 0o077 == 0


def test_an_annotation_is_taken_once_and_judged_again_when_it_changes(book: Book) -> None:
    assert book.take(APP, [annotation("x"), annotation("y", by="bob")], []) == 2
    assert book.take(APP, [annotation("x")], []) == 0
    book.decide(APP, [("x", "accepted", ""), ("y", "aside", "because")])
    assert book.take(APP, [annotation("x")], []) == 0
    assert {one.annotation.id: (one.fate, one.reason) for one in book.annotations(APP)} == {
        "x": ("accepted", ""), "y": ("aside", "because")
    }  # fmt: skip
    assert book.take(APP, [annotation("x", label="b")], []) == 1
    assert {one.annotation.id: one.fate for one in book.annotations(APP)} == {"x": "new", "y": "aside"}


def test_a_file_that_was_half_written_is_an_answer_once_it_is_whole(book: Book) -> None:
    assert book.take(APP, [], [Stray("x", "it cannot be read", "{"), Stray("y", "no task", "")]) == 2
    assert book.take(APP, [annotation("x")], [Stray("y", "no task", "")]) == 1
    assert [stray.id for stray in book.strays(APP)] == ["y"]
    assert [one.annotation.id for one in book.annotations(APP)] == ["x"]


def test_strays_classes_places_and_events_are_kept_once(book: Book) -> None:
    for _ in range(2):
        book.take(APP, [], [Stray("s", "why", "x" * 9000)])
        book.allow(APP, "ten", "carol", "now")
        book.place(APP, [("g", "evaluation")])
        book.add_event(APP, "sha256:1", {"kind": "labels"}, 7)
    book.place(APP, [("g", "training")])
    assert [len(stray.content) for stray in book.strays(APP)] == [4000]
    assert book.allowed(APP) == {"ten": "carol"}
    assert book.placed(APP) == {"g": "evaluation"}
    assert book.events() == [(APP, "sha256:1", {"kind": "labels"})]
    assert book.told_items(APP) == 7
    book.told(APP, "sha256:1")
    book.add_event(APP, "sha256:1", {"kind": "labels"}, 7)
    assert book.events() == []


def test_hostile_texts_are_texts(book: Book) -> None:
    text = "'); DROP TABLE tasks; --"
    book.take(APP, [annotation(text, label=text, by=text)], [Stray(text, text, text)])
    (kept,) = book.annotations(APP)
    assert (kept.annotation.annotator, kept.annotation.answer.labels) == (text, (text,))
    assert len(book.tasks(APP)) == 4
