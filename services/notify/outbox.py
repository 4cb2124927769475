"""The outbox: messages and their deliveries in one SQLite file, so that each is sent once, whatever is restarted."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.common.errors import Unavailable
from services.notify.message import Message

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given up"
_MOST_AHEAD = 3600.0
_TABLES = """
CREATE TABLE IF NOT EXISTS messages (key TEXT PRIMARY KEY, time REAL NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT NOT NULL REFERENCES messages (key) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    ended REAL,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (key, channel)
) STRICT;
CREATE INDEX IF NOT EXISTS due ON deliveries (channel, state, due);
CREATE INDEX IF NOT EXISTS times ON messages (time);
"""


@dataclass(frozen=True)
class Waiting:
    """A message that a channel shall send; `tries` were made before, `time` is when it came."""

    key: str
    message: Message
    tries: int
    time: float


class Outbox:
    """Thread-safe.

    Args:
        most_waiting: bound of messages that wait.
    """

    def __init__(self, path: Path, most_waiting: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._most = most_waiting
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        path.chmod(0o600)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._base.execute(f"PRAGMA {pragma}")
        self._base.executescript(_TABLES)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._base.close()

    def put(self, key: str, message: Message, channels: Iterable[str]) -> bool:
        """Keep a message for its channels, on disk when this returns; False when it is known already.

        Raises:
            Unavailable: too many wait.
        """
        now = time.time()
        with self._lock, self._base:
            if self._base.execute("SELECT 1 FROM messages WHERE key = ?", (key,)).fetchone():
                return False
            (waiting,) = self._base.execute(
                "SELECT count(DISTINCT key) FROM deliveries WHERE state = ?", (WAITING,)
            ).fetchone()
            if waiting >= self._most:
                raise Unavailable("too many messages wait to be delivered", value=waiting)
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute("INSERT INTO messages VALUES (?, ?, ?)", (key, now, message.model_dump_json()))
            self._base.executemany(
                "INSERT INTO deliveries (key, channel, state, due) VALUES (?, ?, ?, ?)",
                [(key, channel, WAITING, now) for channel in channels],
            )
            self._base.execute("COMMIT")
        return True

    def next(self, channel: str) -> Waiting | None:
        """The message that this channel shall send now, the one that came first.

        One that is due in an hour was put off before the clock was set back, and is due.
        """
        now = time.time()
        with self._lock, closing(self._base.cursor()) as cursor:
            row = cursor.execute(
                "SELECT m.key, m.body, d.tries, m.time FROM deliveries d JOIN messages m USING (key) "
                "WHERE d.channel = ? AND d.state = ? AND (d.due <= ? OR d.due > ?) "
                "ORDER BY d.tries > 0, m.time LIMIT 1",
                (channel, WAITING, now, now + _MOST_AHEAD),
            ).fetchone()
        return None if row is None else Waiting(row[0], Message.model_validate_json(row[1]), row[2], row[3])

    def ended(self, key: str, channel: str, state: str, reason: str = "") -> None:
        """It was sent, or is given up."""
        self._set(
            "state = ?, ended = ?, reason = ?, tries = tries + 1", (state, time.time(), reason), key, channel
        )

    def again(self, key: str, channel: str, seconds: float, reason: str) -> None:
        """Try it again after a pause."""
        self._set("due = ?, reason = ?, tries = tries + 1", (time.time() + seconds, reason), key, channel)

    def tidy(self, keep_seconds: float, channels: Iterable[str]) -> None:
        """Forget what is old and done; a channel that is no more has nothing waiting."""
        known = list(channels)
        with self._lock:
            marks = ",".join("?" * len(known))
            self._base.execute(
                f"UPDATE deliveries SET state = ?, reason = ? WHERE state = ? AND channel NOT IN ({marks})",  # noqa: S608
                (GIVEN_UP, "the channel is no more", WAITING, *known),
            )
            self._base.execute(
                "DELETE FROM messages WHERE time < ? AND NOT EXISTS "
                "(SELECT 1 FROM deliveries d WHERE d.key = messages.key AND d.state = ?)",
                (time.time() - keep_seconds, WAITING),
            )

    def counts(self) -> dict[tuple[str, str], int]:
        """(channel, state) → number of deliveries."""
        with self._lock:
            rows = self._base.execute("SELECT channel, state, count(*) FROM deliveries GROUP BY 1, 2")
            return {(channel, state): count for channel, state, count in rows.fetchall()}

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest messages first, each with what became of it."""
        with self._lock:
            rows = self._base.execute(
                "SELECT key, time, body FROM messages ORDER BY time DESC, rowid DESC LIMIT ?", (limit,)
            ).fetchall()
            found = []
            for key, at, body in rows:
                ways = self._base.execute(
                    "SELECT channel, state, tries, reason FROM deliveries WHERE key = ? ORDER BY channel",
                    (key,),
                ).fetchall()
                message = Message.model_validate_json(body).model_dump()
                names = ("channel", "state", "tries", "reason")
                deliveries = [dict(zip(names, way, strict=True)) for way in ways]
                found.append({"key": key, "time": at, **message, "deliveries": deliveries})
        return found

    def _set(self, assignments: str, values: tuple[object, ...], key: str, channel: str) -> None:
        with self._lock:
            self._base.execute(
                f"UPDATE deliveries SET {assignments} WHERE key = ? AND channel = ?",  # noqa: S608
                (*values, key, channel),
            )
