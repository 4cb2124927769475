"""Who labels: the real office of the labels service, with a folder as its desk, and people who know the truth."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from services.data.source import load_dataset
from services.labels.book import Book
from services.labels.clerk import Clerk
from services.labels.desk import FolderDesk
from services.labels.media import Media
from services.labels.office import Office, Place, Rules
from services.labels.standing import standing
from services.labels.task import Answer, Task
from services.monitor.archive import Archive
from services.monitor.objects import FolderObjects
from workflows.local.members import MONITOR
from workflows.local.settings import PlatformSettings
from workflows.simulation.clock import Span
from workflows.simulation.servers import digest_of
from workflows.simulation.world import GROUP_MARK, Input

USUAL, MANY = 40, 100
EVENT_ITEMS = 100
_PEOPLE = ("annotator-1", "annotator-2")
_KEY = b"signs the addresses of a simulated desk"


@dataclass(frozen=True)
class Labelled:
    """What a month's labelling gave.

    Attributes:
        count: inputs that were labelled.
        source: newest version of the dataset, as a data source; the start's when there is none.
        estimate: accuracy in production by the random share, and its 95 % interval.
    """

    count: int
    source: str
    estimate: tuple[float, float, float] | None = None


class People:
    """Labelling on the platform of a simulation.

    Args:
        folder: for the data; emptied first.
        arbiter: address of the arbiter that is told of enough new labels; empty: none.
    """

    def __init__(
        self, settings: PlatformSettings, application: str, folder: Path, key: bytes = _KEY, arbiter: str = ""
    ) -> None:
        self._application = application
        self._folder = folder
        self._cache = settings.home / "data"
        self._base = f"{folder / 'start'}?group_until={GROUP_MARK}"
        shutil.rmtree(folder, ignore_errors=True)
        datasets = folder / "labelled" / application
        self._source = self._base
        self._desk = FolderDesk(folder / "desk")
        self._book = Book(folder / "book" / "labels.db")
        place = Place(
            book=self._book,
            media=Media(folder / "media", key),
            desk=self._desk,
            archive=lambda: Archive(FolderObjects(settings.home / MONITOR)),
            datasets=lambda _: (FolderObjects(datasets), str(datasets)),
            base=lambda _: load_dataset(self._base, cache=self._cache),
            key=key,
        )
        month = timedelta(days=31)
        self._rules = Rules(
            per_day=USUAL,
            settle=timedelta(),
            first=month,
            longest=month,
            accuracy=timedelta(days=15),
            event=EVENT_ITEMS,
        )
        self._office = Office(place, self._rules)
        self._clerk = Clerk(
            self._office,
            lambda: [application],
            choose_seconds=3600.0,
            poll_seconds=3600.0,
            arbiter=(arbiter, ""),
        )

    def start(self, inputs: Iterable[Input]) -> str:
        """What is labelled before the year begins, as a data source."""
        for one in inputs:
            path = self._folder / "start" / one.truth / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.data)
        return self._base

    def label(self, span: Span, inputs: Sequence[Input], *, drift: bool) -> Labelled:
        """Have inputs of the month chosen, answered and published; more of them when there is drift.

        Then the arbiter is also told of however few new labels, since drift alone gives it nothing new to train on.
        """
        truth = {digest_of(one): one.truth for one in inputs}
        self._office.rules = replace(self._rules, per_day=MANY, event=1) if drift else self._rules
        tasks = self._office.choose(self._application, now=span.end)
        self._office.send(self._application)
        self._answer(tasks, truth, span)
        done = self._clerk.sync(self._application)
        if self._allow(truth.values()):
            done = self._clerk.sync(self._application)
        self._source = done["source"] or self._source
        found = standing(self._office, self._application, now=span.end)["accuracy"]
        estimate = None
        if found["estimate"] is not None:
            estimate = (found["estimate"], found["low"], found["high"])
        return Labelled(len(tasks), self._source, estimate)

    def close(self) -> None:
        """Close the book."""
        self._book.close()

    def _answer(self, tasks: Sequence[Task], truth: Mapping[str, str], span: Span) -> None:
        """Each task is answered by as many people as are asked, all by the truth."""
        known = set(self._office.project(self._application).classes)
        for number, task in enumerate(tasks):
            label = truth.get(task.digest)
            if label is None:
                answer = Answer(sure=False)
            else:
                answer = Answer((label,)) if label in known else Answer(other=label)
            for person in range(task.overlap):
                name = _PEOPLE[(number + person) % len(_PEOPLE)]
                self._desk.answer(self._application, task.digest, name, answer, at=span.end)

    def _allow(self, truths: Iterable[str]) -> bool:
        """Let the names that people gave be classes; whether there was one."""
        offered = standing(self._office, self._application)["offered"]
        fresh = sorted(set(offered) & set(truths))
        for name in fresh:
            self._office.allow(self._application, name, _PEOPLE[0])
        return bool(fresh)
