"""The whole of labelling, for one application at a time: choose, lay on the desk, collect, judge, publish."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from services.common.errors import InvalidInput, RookeryError, Unavailable
from services.common.names import check_name
from services.data.dataset import Dataset
from services.labels.agreement import Gate, judge
from services.labels.book import Book
from services.labels.choosing import Chosen, Quotas, Selection, choose
from services.labels.desk import Desk
from services.labels.media import Media
from services.labels.publishing import Placing, Version, assemble, carry_over, newest_version, publish
from services.labels.task import CANNOT_TELL, SOMETHING_ELSE, Project, Stray, Task, clean
from services.monitor.archive import Archive
from services.monitor.objects import Objects

_DAY_MS = 86_400_000
_BASE_SECONDS = 600.0
_TRIES = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """How much people are asked, and when they are believed.

    Attributes:
        per_day: tasks of one application in a UTC day, at most; they are spread over the day.
        random: part of them for the random share; the rest is shared by the other reasons.
        overlap: part of the tasks that two people are asked.
        settle: what was answered later than this ago is chosen from the next time, as the log may still be on its way.
        first, accuracy: what the first window covers, and the estimate.
        event: new labels that the arbiter is told of.
    """

    per_day: int = 50
    random: float = 0.4
    overlap: float = 0.2
    unsure_below: float = 0.9
    settle: timedelta = timedelta(minutes=2)
    first: timedelta = timedelta(days=1)
    longest: timedelta = timedelta(days=31)
    accuracy: timedelta = timedelta(days=30)
    event: int = 20
    gate: Gate = field(default_factory=Gate)
    placing: Placing = field(default_factory=Placing)


@dataclass(frozen=True)
class Place:
    """What the office works with.

    Attributes:
        archive: opens the prediction log anew; its writer is another process.
        datasets: the objects of an application's dataset, and its name as a data source.
        base: the dataset that an application is trained on without labels.
        public_url: address of this service for the browsers of those who label.
    """

    book: Book
    media: Media
    desk: Desk
    archive: Callable[[], Archive]
    datasets: Callable[[str], tuple[Objects, str]]
    base: Callable[[str], Dataset]
    key: bytes
    public_url: str = "http://127.0.0.1:9098"


class Office:
    """Everything can be repeated after any failure. Thread-safe: one thing at a time."""

    def __init__(self, place: Place, rules: Rules, *, environment: str = "production") -> None:
        self.place, self.rules, self.environment = place, rules, environment
        self._bases: dict[str, tuple[float, Dataset]] = {}
        self._lock = threading.RLock()

    def choose(self, application: str, *, now: datetime | None = None) -> list[Task]:
        """Choose from what was served since the last time; the tasks that are new.

        The budget grows with the time since the last window, up to a day's, within what the UTC day has left.

        Raises:
            NotFound: nobody knows the application.
            Unavailable: the log or the base cannot be read now.
        """
        check_name(application)
        book, rules = self.place.book, self.rules
        with self._lock:
            moment = now or datetime.now(UTC)
            base = self.base(application)
            end = _ms(moment - rules.settle)
            last = book.last_window(application)
            begin = end - _ms_of(rules.first) if last is None else max(last, end - _ms_of(rules.longest))
            most = (
                rules.per_day
                if last is None
                else min(rules.per_day, (end - begin) * rules.per_day // _DAY_MS)
            )
            budget = min(most, rules.per_day - book.spent(application, moment.date().isoformat())[0])
            if budget < 1 or end <= begin:
                return []
            known = book.known(application)
            # Golden inputs of a promotion are logged too, and being right about them says nothing.
            apart = {item.sha256 for item in base.items}
            selection = self._select(application, begin, end, self._quotas(budget), known, apart)
            if not selection.predictions:
                return []
            tasks, missing = self._tasks(application, base, selection, known)
            book.add_window(
                application,
                (begin, end),
                moment.date().isoformat(),
                moment.isoformat(),
                tasks,
                [
                    (one.record.digest, one.probability, one.record.version, one.record.labels[0])
                    for one in selection.chosen
                    if one.probability is not None
                ],
                selection.predictions,
                missing,
            )
            return tasks

    def send(self, application: str) -> int:
        """Lay on the desk what does not lie there yet; how many tasks.

        Raises:
            Unavailable: the desk is away; nothing is lost, it is done the next time.
        """
        book = self.place.book
        with self._lock:
            waiting = book.tasks(application, "chosen", "sending")
            if not waiting and not book.counts(application).get("sent"):
                return 0
            project = self.project(application)
            if self.place.desk.open(project):
                answered = {one.annotation.digest for one in book.annotations(application)}
                waiting += [t for t in book.tasks(application, "sent") if t.digest not in answered]
            if not waiting:
                return 0
            digests = [task.digest for task in waiting]
            book.move(application, digests, "sending")
            self.place.desk.put(project, waiting, self._links)
            book.move(application, digests, "sent")
            return len(waiting)

    def collect(self, application: str) -> int:
        """Bring home what people said; how much is new.

        Raises:
            Unavailable: the desk is away.
        """
        book = self.place.book
        with self._lock:
            if not book.counts(application).get("sent"):
                return 0
            batch = self.place.desk.collect(self.project(application))
            known = book.known(application)
            ours = [one for one in batch.annotations if one.digest in known]
            strays = [
                Stray(one.id, "it is about no task of ours", str(one.answer.as_dict()))
                for one in batch.annotations
                if one.digest not in known
            ]
            return book.take(application, ours, [*batch.strays, *strays])

    def publish(self, application: str, *, now: datetime | None = None) -> Version | None:
        """Judge what people said, and make a new version of the dataset if there is anything new in it.

        Raises:
            Unavailable: the base or the store of the datasets cannot be read now.
        """
        book = self.place.book
        with self._lock:
            moment = now or datetime.now(UTC)
            kept = book.annotations(application)
            if not kept:
                return None
            self._judge(application, moment)
            kept = book.annotations(application)
            tasks = {task.digest: task for task in book.tasks(application)}
            base = self.base(application)
            found = assemble(
                kept, tasks, base, book.allowed(application), book.placed(application), self.rules.placing
            )
            book.place(application, list(found.splits.items()))
            said = {"offered": dict(found.offered), "left_out": dict(Counter(found.left_out.values()))}
            book.judged(application, moment.isoformat(), book.verdict(application) | said)
            objects, name = self.place.datasets(application)
            carry_over(objects, kept, found)
            version = publish(
                objects,
                name,
                application,
                base,
                found,
                at=moment,
                agreement=book.verdict(application),
                read=lambda digest: self.place.media.read(digest)[0],
            )
            self._announce(application, objects, name)
            return version

    def sync(
        self,
        application: str,
        *,
        now: datetime | None = None,
        publishing: Callable[[int], bool] | None = None,
    ) -> dict[str, Any]:
        """Send, collect and publish; what came of it.

        Args:
            publishing: told how many answers are new, says whether to publish now; None: always.
        """
        with self._lock:
            sent = self.send(application)
            answers = self.collect(application)
            due = publishing is None or publishing(answers)
            version = self.publish(application, now=now) if due else None
            return {
                "application": application,
                "sent": sent,
                "answers": answers,
                "version": version.number if version else None,
                "source": version.source if version else None,
                "new": version.new if version else 0,
            }

    def allow(self, application: str, name: str, by: str, *, now: datetime | None = None) -> str:
        """Let a name that people gave be a class; the name as it is written."""
        check_name(application)
        text = clean(name)
        with self._lock:
            if text in self.base(application).labels:
                raise InvalidInput("the dataset has this class already", value=text)
            self.place.book.allow(application, text, by[:100], (now or datetime.now(UTC)).isoformat())
        return text

    def project(self, application: str) -> Project:
        """What is asked.

        Raises:
            InvalidInput: a class has a name that means something else here.
        """
        base = self.base(application)
        if reserved := {SOMETHING_ELSE, CANNOT_TELL} & set(base.labels):
            raise InvalidInput("a class has a name with a meaning of its own", value=sorted(reserved))
        allowed = self.place.book.allowed(application)
        return Project(application, base.kind, base.task, tuple(sorted({*base.labels, *allowed})))

    def base(self, application: str) -> Dataset:
        """The dataset below the labels, read again after ten minutes."""
        at, found = self._bases.get(application, (0.0, None))
        if found is None or time.monotonic() - at > _BASE_SECONDS:
            found = self.place.base(application)
            self._bases[application] = (time.monotonic(), found)
        return found

    def _quotas(self, budget: int) -> Quotas:
        drawn = min(budget, max(1, round(budget * self.rules.random)))
        rest = budget - drawn
        third = rest // 3
        return Quotas(drawn, rest - 2 * third, third, third, self.rules.unsure_below)

    def _select(
        self, application: str, begin: int, end: int, quotas: Quotas, known: set[str], apart: set[str]
    ) -> Selection:
        salt = blake2b(f"{application}/{begin}/{end}".encode(), key=self.place.key[:64], digest_size=8)
        for attempt in range(_TRIES):
            try:
                return choose(
                    self.place.archive(),
                    application,
                    _at(begin),
                    _at(end),
                    quotas,
                    int.from_bytes(salt.digest()),
                    known=known,
                    apart=apart,
                    environment=self.environment,
                )
            except Unavailable:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("a bounded loop")

    def _tasks(
        self, application: str, base: Dataset, selection: Selection, known: set[str]
    ) -> tuple[list[Task], list[Task]]:
        """Tasks for what is new, and those whose input cannot be shown."""
        archive = self.place.archive()
        tasks, missing = [], []
        for one in selection.chosen:
            if one.record.digest in known:
                continue
            try:
                shown, media_type = self.place.media.keep(archive, one.record.digest, _at(one.record.time))
            except Unavailable:
                raise
            except RookeryError as error:
                _log.warning("%s: %s", application, error)
                missing.append(Task(application, one.record, one.reason, ""))
                continue
            is_sound = media_type in ("wav", "ogg", "flac", "mp3")
            if is_sound != (base.kind == "audio"):
                missing.append(Task(application, one.record, one.reason, media_type))
                continue
            other = shown if shown != one.record.digest else ""
            tasks.append(Task(application, one.record, one.reason, media_type, self._overlap(one), other))
        return tasks, missing

    def _overlap(self, one: Chosen) -> int:
        """How many people are asked: by a keyed hash, so it is the same however often it is decided."""
        value = blake2b(one.record.digest.encode(), key=self.place.key[:64], digest_size=8).digest()
        return 2 if int.from_bytes(value) / 2**64 < self.rules.overlap else 1

    def _links(self, task: Task) -> dict[str, str]:
        return self.place.media.links(self.place.public_url, task.content, task.media_type)

    def _judge(self, application: str, moment: datetime) -> None:
        """Decide on what is not accepted yet, beside what others said of the same inputs."""
        book = self.place.book
        kept = book.annotations(application)
        batch = [one for one in kept if one.fate != "accepted"]
        if not batch:
            return
        inputs = {one.annotation.digest for one in batch}
        beside = [one.annotation for one in kept if one.annotation.digest in inputs]
        verdict = judge(beside, self.rules.gate, judged={one.annotation.annotator for one in batch})
        fates = []
        for one in batch:
            name = one.annotation.annotator
            if name in verdict.accepted:
                fates.append((one.annotation.id, "accepted", ""))
            elif name in verdict.aside:
                fates.append((one.annotation.id, "aside", verdict.aside[name]))
            else:
                fates.append((one.annotation.id, "new", verdict.waiting.get(name, "")))
        book.decide(application, fates)
        said = {**vars(verdict), "accepted": sorted(verdict.accepted), "answers": len(batch)}
        book.judged(application, moment.isoformat(), said)

    def _announce(self, application: str, objects: Objects, name: str) -> None:
        """Write down an event when enough is new; who dies before it is written finds the version the next time."""
        book = self.place.book
        newest = newest_version(objects, name, application)
        if newest is None or abs(newest.items - book.told_items(application)) < self.rules.event:
            return
        detail = {
            "source": newest.source,
            "version": newest.number,
            "new": newest.items - book.told_items(application),
            "items": newest.items,
            "agreement": book.verdict(application).get("alpha"),
        }
        body = {
            "kind": "labels",
            "application": application,
            "subject": newest.digest,
            "detail": detail,
            "by": "labels",
        }
        book.add_event(application, newest.digest, body, newest.items)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _ms_of(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


def _at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
