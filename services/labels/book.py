"""What the labels service remembers: windows, draws, tasks, annotations with their fate, classes, events. SQLite.

One process writes. Nothing that people did is ever deleted: an annotation is new, accepted, or aside with the reason.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.labels.task import Annotation, Answer, Record, Stray, Task

_SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (application TEXT, begin INTEGER, ending INTEGER, day TEXT, chosen INTEGER,
  drawn INTEGER, predictions INTEGER, PRIMARY KEY (application, ending));
CREATE TABLE IF NOT EXISTS draws (application TEXT, ending INTEGER, digest TEXT, probability REAL, version TEXT,
  label TEXT, PRIMARY KEY (application, ending, digest));
CREATE TABLE IF NOT EXISTS tasks (application TEXT, digest TEXT, state TEXT, at TEXT, task TEXT,
  PRIMARY KEY (application, digest));
CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks (application, state);
CREATE TABLE IF NOT EXISTS annotations (application TEXT, id TEXT, digest TEXT, annotator TEXT, at TEXT, answer TEXT,
  fate TEXT, reason TEXT, PRIMARY KEY (application, id));
CREATE INDEX IF NOT EXISTS annotations_by_digest ON annotations (application, digest);
CREATE TABLE IF NOT EXISTS strays (application TEXT, id TEXT, reason TEXT, content TEXT, PRIMARY KEY (application, id));
CREATE TABLE IF NOT EXISTS classes (application TEXT, name TEXT, allowed_by TEXT, at TEXT,
  PRIMARY KEY (application, name));
CREATE TABLE IF NOT EXISTS placed (application TEXT, grp TEXT, split TEXT, PRIMARY KEY (application, grp));
CREATE TABLE IF NOT EXISTS verdicts (application TEXT PRIMARY KEY, at TEXT, verdict TEXT);
CREATE TABLE IF NOT EXISTS events (application TEXT, subject TEXT, body TEXT, items INTEGER, sent INTEGER,
  PRIMARY KEY (application, subject));
"""
_ORDER = ", ".join(("at", "digest"))


@dataclass(frozen=True)
class Kept:
    """An annotation with its fate: new, accepted or aside."""

    annotation: Annotation
    fate: str
    reason: str


class Book:
    """The tables. Thread-safe; each method is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        path.chmod(0o600)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
            self._db.execute(statement)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def add_window(
        self,
        application: str,
        span: tuple[int, int],
        day: str,
        at: str,
        tasks: Sequence[Task],
        draws: Iterable[tuple[str, float, str, str]],
        predictions: int,
        missing: Sequence[Task] = (),
    ) -> None:
        """One window with all that was chosen from it, or nothing.

        Args:
            draws: digest, probability, version and label of the random share.
            missing: chosen inputs whose bytes nobody kept.
        """
        drawn = list(draws)
        with self._write() as db:
            db.execute(
                "INSERT INTO windows VALUES (?,?,?,?,?,?,?)",
                (application, *span, day, len(tasks), len(drawn), predictions),
            )
            db.executemany(
                "INSERT INTO draws VALUES (?,?,?,?,?,?)", [(application, span[1], *draw) for draw in drawn]
            )
            for state, members in (("chosen", tasks), ("missing", missing)):
                db.executemany(
                    "INSERT OR IGNORE INTO tasks VALUES (?,?,?,?,?)",
                    [(application, task.digest, state, at, _packed(task)) for task in members],
                )

    def last_window(self, application: str) -> int | None:
        """The end of the newest window, in milliseconds."""
        row = self._one("SELECT MAX(ending) FROM windows WHERE application=?", application)
        return None if row is None or row[0] is None else int(row[0])

    def spent(self, application: str, day: str) -> tuple[int, int]:
        """Tasks chosen on a UTC day, and inputs drawn for the random share."""
        row = self._one(
            "SELECT TOTAL(chosen), TOTAL(drawn) FROM windows WHERE application=? AND day=?", application, day
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def draws(self, application: str, since: int) -> list[tuple[int, str, float, str, str]]:
        """Window, digest, probability, version and label of the draws of windows that end after `since`."""
        query = (
            "SELECT ending, digest, probability, version, label FROM draws WHERE application=? AND ending>=?"
        )
        return [tuple(row) for row in self._all(query + " ORDER BY ending, digest", application, since)]

    def known(self, application: str) -> set[str]:
        """Digests that have a task."""
        return {str(row[0]) for row in self._all("SELECT digest FROM tasks WHERE application=?", application)}

    def tasks(self, application: str, *states: str) -> list[Task]:
        """The tasks in these states (all when none is given), the oldest first."""
        marks = ",".join("?" * len(states))
        where = f" AND state IN ({marks})" if states else ""
        query = f"SELECT task FROM tasks WHERE application=?{where} ORDER BY {_ORDER}"  # noqa: S608
        return [_unpacked(row[0]) for row in self._all(query, application, *states)]

    def task(self, application: str, digest: str) -> Task | None:
        """The task of an input."""
        row = self._one("SELECT task FROM tasks WHERE application=? AND digest=?", application, digest)
        return _unpacked(row[0]) if row else None

    def counts(self, application: str) -> dict[str, int]:
        """Number of tasks by state."""
        rows = self._all("SELECT state, COUNT(*) FROM tasks WHERE application=? GROUP BY state", application)
        return {str(state): int(count) for state, count in rows}

    def move(self, application: str, digests: Iterable[str], state: str) -> None:
        """Put tasks into a state: chosen, sending, sent or missing."""
        with self._write() as db:
            db.executemany(
                "UPDATE tasks SET state=? WHERE application=? AND digest=?",
                [(state, application, digest) for digest in digests],
            )

    def take(self, application: str, annotations: Iterable[Annotation], strays: Iterable[Stray]) -> int:
        """Keep what people said; returns how much of it is new or has changed. What changed is judged again.

        What was kept apart under the same id, such as a file that was half written, is an answer from then on.
        """
        fresh = 0
        with self._write() as db:
            for one in annotations:
                db.execute("DELETE FROM strays WHERE application=? AND id=?", (application, one.id))
                answer = json.dumps(one.answer.as_dict(), sort_keys=True)
                fresh += db.execute(
                    "INSERT INTO annotations VALUES (?,?,?,?,?,?,'new','') ON CONFLICT (application, id) DO UPDATE "
                    "SET answer=excluded.answer, at=excluded.at, annotator=excluded.annotator, fate='new', reason='' "
                    "WHERE answer<>excluded.answer OR annotator<>excluded.annotator",
                    (application, one.id, one.digest, one.annotator, one.at, answer),
                ).rowcount
            for stray in strays:
                fresh += db.execute(
                    "INSERT OR IGNORE INTO strays VALUES (?,?,?,?)",
                    (application, stray.id, stray.reason, stray.content[:4000]),
                ).rowcount
        return fresh

    def annotations(self, application: str) -> list[Kept]:
        """All that people said, with its fate, the oldest first."""
        query = "SELECT id, digest, annotator, at, answer, fate, reason FROM annotations WHERE application=? "
        return [
            Kept(Annotation(row[0], row[1], row[2], row[3], _answer(row[4])), row[5], row[6])
            for row in self._all(query + "ORDER BY at, id", application)
        ]

    def decide(self, application: str, fates: Iterable[tuple[str, str, str]]) -> None:
        """Annotations' ids, fates and reasons."""
        with self._write() as db:
            db.executemany(
                "UPDATE annotations SET fate=?, reason=? WHERE application=? AND id=?",
                [(fate, reason, application, name) for name, fate, reason in fates],
            )

    def strays(self, application: str) -> list[Stray]:
        """What belongs to no task."""
        query = "SELECT id, reason, content FROM strays WHERE application=? ORDER BY id"
        return [Stray(*row) for row in self._all(query, application)]

    def allow(self, application: str, name: str, by: str, at: str) -> None:
        """A class that the base does not have may be used."""
        with self._write() as db:
            db.execute("INSERT OR IGNORE INTO classes VALUES (?,?,?,?)", (application, name, by, at))

    def allowed(self, application: str) -> dict[str, str]:
        """Classes that may be used although the base does not have them, and who allowed each."""
        rows = self._all("SELECT name, allowed_by FROM classes WHERE application=?", application)
        return {str(name): str(by) for name, by in rows}

    def placed(self, application: str) -> dict[str, str]:
        """Group → the split that it was put into once and for all."""
        return {
            str(g): str(s)
            for g, s in self._all("SELECT grp, split FROM placed WHERE application=?", application)
        }

    def place(self, application: str, splits: Iterable[tuple[str, str]]) -> None:
        """Put groups into splits; those that are in one stay there."""
        with self._write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO placed VALUES (?,?,?)", [(application, *pair) for pair in splits]
            )

    def judged(self, application: str, at: str, verdict: dict[str, Any]) -> None:
        """Remember the last verdict of the gate."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?,?,?)", (application, at, json.dumps(verdict))
            )

    def verdict(self, application: str) -> dict[str, Any]:
        """The last verdict of the gate, empty before the first."""
        row = self._one("SELECT verdict FROM verdicts WHERE application=?", application)
        return dict(json.loads(row[0])) if row else {}

    def add_event(self, application: str, subject: str, body: dict[str, Any], items: int) -> None:
        """Something that the arbiter is to be told."""
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO events VALUES (?,?,?,?,0)",
                (application, subject, json.dumps(body), items),
            )

    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Application, subject and body of what the arbiter was not told yet."""
        rows = self._all("SELECT application, subject, body FROM events WHERE sent=0 ORDER BY rowid")
        return [(row[0], row[1], json.loads(row[2])) for row in rows]

    def told(self, application: str, subject: str) -> None:
        """The arbiter took it."""
        with self._write() as db:
            db.execute("UPDATE events SET sent=1 WHERE application=? AND subject=?", (application, subject))

    def told_items(self, application: str) -> int:
        """Items of the newest version that the arbiter was or is to be told of."""
        row = self._one("SELECT items FROM events WHERE application=? ORDER BY rowid DESC", application)
        return int(row[0]) if row else 0

    def applications(self) -> list[str]:
        """Applications that inputs were chosen for."""
        return [str(row[0]) for row in self._all("SELECT DISTINCT application FROM windows ORDER BY 1")]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: object) -> Any:
        with self._lock:
            return self._db.execute(query, values).fetchone()


def _answer(text: str) -> Answer:
    return Answer.from_dict(json.loads(text))


def _packed(task: Task) -> str:
    return json.dumps(asdict(task))


def _unpacked(text: str) -> Task:
    fields = json.loads(text)
    record = fields["record"] | {name: tuple(fields["record"][name]) for name in ("labels", "probabilities")}
    return Task(**(fields | {"record": Record(**record)}))
