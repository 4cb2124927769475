"""How labelling stands: the queue, the gate, the dataset, and accuracy in production. For the board and people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.common.names import check_name
from services.labels.accuracy import Draw, estimate
from services.labels.office import Office
from services.labels.publishing import newest_version, truths
from services.labels.task import Task

_MOST_NAMED = 5


def standing(office: Office, application: str, *, now: datetime | None = None) -> dict[str, Any]:
    """How labelling of an application stands.

    Raises:
        InvalidInput: this is no name of an application.
    """
    check_name(application)
    book = office.place.book
    moment = now or datetime.now(UTC)
    kept = book.annotations(application)
    tasks = {task.digest: task for task in book.tasks(application)}
    states = book.counts(application)
    people: dict[str, set[str]] = {}
    for one in kept:
        people.setdefault(one.annotation.digest, set()).add(one.annotation.annotator)
    done = sum(1 for d, names in people.items() if d in tasks and len(names) >= tasks[d].overlap)
    verdict = book.verdict(application)
    strays = book.strays(application)
    aside = Counter(f"{one.annotation.annotator}: {one.reason}" for one in kept if one.fate == "aside")
    objects, name = office.place.datasets(application)
    newest = newest_version(objects, name, application)
    waiting = states.get("chosen", 0) + states.get("sending", 0)
    return {
        "application": application,
        "open": max(0, states.get("sent", 0) + waiting - done),
        "done": done,
        "to_send": waiting,
        "missing": states.get("missing", 0),
        "reasons": dict(Counter(task.reason for task in tasks.values())),
        "answers": len(kept),
        "agreement": verdict.get("alpha"),
        "gate": verdict,
        "aside": dict(aside),
        "strays": len(strays),
        "kept_apart": {stray.id: stray.reason[:200] for stray in strays[:_MOST_NAMED]},
        "offered": book.verdict(application).get("offered", {}),
        "version": newest.number if newest else None,
        "source": newest.source if newest else None,
        "items": newest.items if newest else 0,
        "accuracy": _accuracy(office, application, moment, tasks),
    }


def _accuracy(
    office: Office, application: str, moment: datetime, tasks: Mapping[str, Task]
) -> dict[str, Any]:
    """The estimate of the last days, of all versions and of each."""
    book = office.place.book
    since = moment - office.rules.accuracy
    said = truths(book.annotations(application), tasks)
    draws: list[tuple[str, Draw]] = []
    unsure = 0
    for ending, digest, probability, version, label in book.draws(application, int(since.timestamp() * 1000)):
        answer = said.get(digest)
        unsure += answer is not None and not answer.sure
        right = label in answer.named if answer is not None and answer.sure else None
        draws.append((version, Draw(str(ending), probability, right)))
    found = estimate(draw for _, draw in draws).as_dict()
    versions = sorted({version for version, _ in draws})
    return {
        **found,
        "unsure": unsure,
        "since": since.isoformat(),
        "versions": {
            version: estimate(draw for name, draw in draws if name == version).as_dict()
            for version in versions
        },
    }
