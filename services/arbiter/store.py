"""Events, decisions and what was seen last, in SQLite or PostgreSQL. What is written here survives any end.

A decision to retrain is on record, with the name that its workflow will have, before anything is submitted; so a
crash in between is settled by looking which of them have no workflow yet.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from services.arbiter.decide import RUNNING, Decision, Event, Training
from services.common.errors import NotFound, Unavailable

_META = sql.MetaData()
_Number = sql.BigInteger().with_variant(sql.Integer, "sqlite")
EVENTS = sql.Table(
    "events",
    _META,
    sql.Column("id", _Number, primary_key=True, autoincrement=True),
    sql.Column("time", sql.String(40), nullable=False),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("last", sql.Float, nullable=False),
    sql.Column("times", sql.Integer, nullable=False),
    sql.Column("kind", sql.String(20), nullable=False),
    sql.Column("application", sql.String(40), nullable=False, index=True),
    sql.Column("subject", sql.String(400), nullable=False),
    sql.Column("detail", sql.Text, nullable=False),
    sql.Column("by", sql.String(200), nullable=False),
    sql.Column("decision", sql.String(12), nullable=False, index=True),
)
DECISIONS = sql.Table(
    "decisions",
    _META,
    sql.Column("number", _Number, primary_key=True, autoincrement=True),
    sql.Column("id", sql.String(12), unique=True, nullable=False),
    sql.Column("time", sql.String(40), nullable=False),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("application", sql.String(40), nullable=False, index=True),
    sql.Column("verdict", sql.String(10), nullable=False),
    sql.Column("rule", sql.String(40), nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
    sql.Column("events", sql.Text, nullable=False),
    sql.Column("until", sql.String(40), nullable=False),
    sql.Column("key", sql.String(80), nullable=False),
    sql.Column("data", sql.String(80), nullable=False),
    sql.Column("parameters", sql.Text, nullable=False),
    sql.Column("workflow", sql.String(100), nullable=False),
    sql.Column("outcome", sql.String(20), nullable=False, index=True),
    sql.Column("message", sql.Text, nullable=False),
    sql.Column("ended", sql.Float),
)
SEEN = sql.Table(
    "seen",
    _META,
    sql.Column("application", sql.String(40), primary_key=True),
    sql.Column("name", sql.String(120), primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)
DECIDED = "decided"
_HEARD = ("id", "time", "times", "kind", "application", "subject", "by", "decision")
_SHOWN = ("id", "time", "application", "verdict", "rule", "reason", "until", "workflow", "outcome", "message")


class Store:
    """One database.

    Raises:
        Unavailable: from every method, when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        more: dict[str, Any] = {"pool_pre_ping": True}
        if url in ("sqlite://", "sqlite:///:memory:"):
            more = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        try:
            self._engine = sql.create_engine(url, **more)
            if self._engine.dialect.name == "sqlite":
                sql.event.listen(self._engine, "connect", _careful)
            _META.create_all(self._engine)
        except (SQLAlchemyError, ValueError) as error:
            raise Unavailable(f"the database of the arbiter cannot be used: {_said(error)}") from error

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    # Events

    def add_event(
        self, kind: str, application: str, subject: str, detail: Mapping[str, Any], by: str, *, at: float
    ) -> tuple[int, bool]:
        """Take an event; the same one that is open already is only counted. Returns its id and whether it is new."""
        text = json.dumps(dict(detail), sort_keys=True)
        same = sql.and_(
            EVENTS.c.decision == "",
            EVENTS.c.application == application,
            EVENTS.c.kind == kind,
            EVENTS.c.subject == subject,
            EVENTS.c.detail == text,
        )
        with self._begin() as link:
            row = link.execute(sql.select(EVENTS.c.id).where(same).limit(1)).first()
            if row is not None:
                change = {"times": EVENTS.c.times + 1, "last": at}
                link.execute(sql.update(EVENTS).where(EVENTS.c.id == row.id).values(change))
                return int(row.id), False
            values = {
                "time": _now(),
                "at": at,
                "last": at,
                "times": 1,
                "kind": kind,
                "application": application,
                "subject": subject,
                "detail": text,
                "by": by,
                "decision": "",
            }
            made = link.execute(sql.insert(EVENTS).values(values)).inserted_primary_key
        assert made is not None
        return int(made[0]), True

    def open_count(self) -> int:
        """How many events no decision has answered."""
        with self._begin() as link:
            query = sql.select(sql.func.count()).select_from(EVENTS).where(EVENTS.c.decision == "")
            return int(link.execute(query).scalar_one())

    def open_events(self) -> dict[str, list[tuple[Event, dict[str, Any]]]]:
        """Application → its open events with their details, the oldest first."""
        found: dict[str, list[tuple[Event, dict[str, Any]]]] = {}
        with self._begin() as link:
            for row in link.execute(sql.select(EVENTS).where(EVENTS.c.decision == "").order_by(EVENTS.c.id)):
                detail = json.loads(row.detail)
                event = Event(
                    row.id,
                    row.kind,
                    row.at,
                    row.last,
                    str(detail.get("code", "")),
                    detail.get("force") is True,
                )
                found.setdefault(row.application, []).append((event, {"subject": row.subject, **detail}))
        return found

    def events(self, application: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """The newest events."""
        query = sql.select(EVENTS).order_by(EVENTS.c.id.desc()).limit(limit)
        if application:
            query = query.where(EVENTS.c.application == application)
        with self._begin() as link:
            rows = list(link.execute(query))
        return [
            {**{name: getattr(row, name) for name in _HEARD}, "detail": json.loads(row.detail)}
            for row in rows
        ]

    def answered(self, kind: str, application: str, subject: str, since: float) -> int | None:
        """An event with this subject that was heard after `since` and that a decision has answered."""
        same = (EVENTS.c.kind == kind, EVENTS.c.application == application, EVENTS.c.subject == subject)
        query = sql.select(EVENTS.c.id).where(*same, EVENTS.c.decision != "", EVENTS.c.last > since)
        with self._begin() as link:
            row = link.execute(query.limit(1)).first()
        return None if row is None else int(row.id)

    # Decisions

    def record(
        self,
        application: str,
        decision: Decision,
        *,
        at: float,
        heard: float,
        key: str,
        data: str,
        parameters: Mapping[str, str],
    ) -> str:
        """Write a decision down, with the events that it answers; returns its id. The same wait is one record.

        Args:
            heard: an event that was told again after this stays open, as the decision knew nothing of it.
        """
        answered = () if decision.verdict == "wait" else decision.events
        until = "" if decision.until is None else _in(decision.until - at)
        told = {"events": json.dumps(list(decision.events)), "until": until, "reason": decision.reason}
        with self._begin() as link:
            last = link.execute(
                sql.select(DECISIONS)
                .where(DECISIONS.c.application == application)
                .order_by(DECISIONS.c.number.desc())
                .limit(1)
            ).first()
            now = (decision.verdict, decision.rule)
            if decision.verdict == "wait" and last is not None and (last.verdict, last.rule) == now:
                if last.events != told["events"] or last.reason != told["reason"]:
                    link.execute(sql.update(DECISIONS).where(DECISIONS.c.number == last.number).values(told))
                return str(last.id)
            id_ = uuid.uuid4().hex[:12]
            retrain = decision.verdict == "retrain"
            values = {
                **told,
                "id": id_,
                "time": _now(),
                "at": at,
                "application": application,
                "verdict": decision.verdict,
                "rule": decision.rule,
                "key": key,
                "data": data,
                "parameters": json.dumps(dict(parameters), sort_keys=True),
                "workflow": f"train-model-{id_}" if retrain else "",
                "outcome": DECIDED if retrain else "",
                "message": "",
            }
            link.execute(sql.insert(DECISIONS).values(values))
            if answered:
                known = sql.and_(EVENTS.c.id.in_(answered), EVENTS.c.last <= heard)
                link.execute(sql.update(EVENTS).where(known).values(decision=id_))
        return id_

    def decisions(self, application: str = "", limit: int = 100, event: int = 0) -> list[dict[str, Any]]:
        """The newest decisions (about an event, if one is given), with 50 of the events that each is about."""
        query = sql.select(DECISIONS).order_by(DECISIONS.c.number.desc()).limit(limit)
        if application:
            query = query.where(DECISIONS.c.application == application)
        if event:
            places = [DECISIONS.c.events.contains(f"{a}{event}{b}") for a in "[ " for b in ",]"]
            query = query.where(sql.or_(*places))
        with self._begin() as link:
            rows = list(link.execute(query))
            named = {row.id: _few(json.loads(row.events), event) for row in rows}
            ids = {id_ for few in named.values() for id_ in few}
            known = {
                row.id: {name: getattr(row, name) for name in ("id", "kind", "subject", "times", "by")}
                for row in link.execute(sql.select(EVENTS).where(EVENTS.c.id.in_(ids)))
            }
        return [
            {
                **{name: getattr(row, name) for name in _SHOWN},
                "events": [known[id_] for id_ in named[row.id] if id_ in known],
                "event_count": len(json.loads(row.events)),
                "data": row.data,
                "key": row.key,
                "parameters": json.loads(row.parameters),
            }
            for row in rows
        ]

    def trainings(self, since: float) -> list[Training]:
        """What was decided to be trained: all that began after `since`, and the last 20 of each application."""
        query = (
            sql.select(DECISIONS)
            .where(DECISIONS.c.verdict == "retrain")
            .order_by(DECISIONS.c.number.desc())
            .limit(2000)
        )
        seen: dict[str, int] = {}
        found = []
        with self._begin() as link:
            for row in link.execute(query):
                seen[row.application] = seen.get(row.application, 0) + 1
                if row.at > since or seen[row.application] <= 20:
                    outcome = RUNNING if row.outcome in (DECIDED, RUNNING) else row.outcome
                    found.append(
                        Training(
                            row.id,
                            row.application,
                            row.at,
                            outcome,
                            row.ended,
                            row.key,
                            row.data,
                            row.workflow,
                        )
                    )
        return found

    def unfinished(self) -> list[dict[str, Any]]:
        """Decisions to retrain that are not submitted, or whose workflow has not ended, the oldest first."""
        query = (
            sql.select(DECISIONS)
            .where(DECISIONS.c.outcome.in_((DECIDED, RUNNING)))
            .order_by(DECISIONS.c.number)
        )
        with self._begin() as link:
            return [{**row._mapping, "parameters": json.loads(row.parameters)} for row in link.execute(query)]

    def settle(self, id_: str, outcome: str, message: str = "", ended: float | None = None) -> None:
        """Write down how far the workflow of a decision is.

        Raises:
            NotFound: there is no such decision.
        """
        values = {"outcome": outcome, "message": message[:2000], "ended": ended}
        with self._begin() as link:
            done = link.execute(sql.update(DECISIONS).where(DECISIONS.c.id == id_).values(values))
        if done.rowcount != 1:
            raise NotFound("there is no such decision", value=id_)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """(application, verdict, rule) → how many decisions."""
        columns = (DECISIONS.c.application, DECISIONS.c.verdict, DECISIONS.c.rule)
        with self._begin() as link:
            rows = link.execute(sql.select(*columns, sql.func.count()).group_by(*columns))
            return {(row[0], row[1], row[2]): int(row[3]) for row in rows}

    # What was seen last, and the clock

    def seen(self, application: str) -> dict[str, str]:
        """What was remembered of an application."""
        with self._begin() as link:
            rows = link.execute(sql.select(SEEN).where(SEEN.c.application == application))
            return {row.name: row.value for row in rows}

    def remember(self, application: str, **values: str) -> None:
        """Remember; an empty value forgets."""
        with self._begin() as link:
            for name, value in values.items():
                place = sql.and_(SEEN.c.application == application, SEEN.c.name == name)
                link.execute(sql.delete(SEEN).where(place))
                if value:
                    link.execute(
                        sql.insert(SEEN).values({"application": application, "name": name, "value": value})
                    )

    def forget_before(self, at: float) -> int:
        """Remove answered events and ended decisions from before that second of the arbiter's clock; how many."""
        with self._begin() as link:
            answered = sql.and_(EVENTS.c.decision != "", EVENTS.c.last < at)
            events = link.execute(sql.delete(EVENTS).where(answered))
            ended = sql.and_(DECISIONS.c.outcome.not_in((DECIDED, RUNNING)), DECISIONS.c.at < at)
            decisions = link.execute(sql.delete(DECISIONS).where(ended))
        return int(events.rowcount + decisions.rowcount)

    def _begin(self) -> _Transaction:
        return _Transaction(self._engine)


class _Transaction:
    """A transaction whose faults are the arbiter's own kind."""

    def __init__(self, engine: sql.Engine) -> None:
        self._context = engine.begin()

    def __enter__(self) -> sql.Connection:
        try:
            return self._context.__enter__()
        except SQLAlchemyError as error:
            raise Unavailable(f"the database of the arbiter is away: {_said(error)}") from error

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._context.__exit__(kind, error, trace)
        except SQLAlchemyError as problem:
            error = problem
        if isinstance(error, SQLAlchemyError):
            raise Unavailable(f"the database of the arbiter is away: {_said(error)}") from error


def quarantined(seen: Mapping[str, str]) -> dict[str, str]:
    """Data digest → reason, of what was remembered of an application."""
    prefix = "quarantine "
    return {name.removeprefix(prefix): value for name, value in seen.items() if name.startswith(prefix)}


def _few(ids: list[int], wanted: int) -> list[int]:
    return sorted({*ids[:50], *({wanted} & set(ids))})


def _careful(connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _said(error: Exception) -> str:
    # The address of a database can have a password in it; the driver's own words do not.
    words = str(getattr(error, "orig", None) or type(error).__name__).splitlines()
    return words[0][:200] if words else type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _in(seconds: float) -> str:
    try:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:
        return ""
