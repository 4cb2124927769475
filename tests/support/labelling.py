"""A prediction log with its inputs, and an office over it, without any server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from services.data.dataset import Dataset
from services.data.source import load_dataset
from services.labels.agreement import Gate
from services.labels.book import Book
from services.labels.desk import FolderDesk
from services.labels.media import Media
from services.labels.office import Office, Place, Rules
from services.labels.publishing import Placing
from services.labels.task import Answer, Task
from services.monitor.archive import Archive
from services.monitor.objects import FolderObjects
from services.monitor.segment import parse_segment
from tests.support.bundles import digit_label, digit_png
from tests.support.predictions import prediction, segment

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=2)
KEY = b"0123456789abcdef"
APPLICATION = "digits"


def shifted_png(number: int) -> tuple[bytes, str]:
    """A picture that the digits do not have, and what it shows: a scan with one pixel changed."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(digit_png(number % 300))) as picture:
        pixels = np.array(picture.convert("L"))
    pixels[number % pixels.shape[0], (number // 7) % pixels.shape[1]] ^= 0x55
    pixels[0, number % pixels.shape[1]] ^= 1 + number // 300
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue(), digit_label(number % 300)


class Log:
    """What was served, as the monitor keeps it."""

    def __init__(self, folder: Path, application: str = APPLICATION) -> None:
        self.application = application
        self.objects = FolderObjects(folder)
        self.truth: dict[str, str] = {}

    def archive(self) -> Archive:
        """Opened anew."""
        return Archive(self.objects)

    def serve(
        self,
        inputs: Sequence[tuple[bytes, str]],
        *,
        at: datetime = NOON,
        said: Sequence[str] | None = None,
        confidence: Sequence[float] | None = None,
        version: str = "1",
        environment: str = "production",
        source: str = "",
        novel: Sequence[bool] | None = None,
        keep: bool = True,
    ) -> list[str]:
        """Predictions, one a second; digests of the inputs. What is not given is right, sure and known."""
        rows, digests = [], []
        for n, (data, truth) in enumerate(inputs):
            digest = hashlib.sha256(data).hexdigest()
            moment = at + timedelta(seconds=n)
            sure = confidence[n] if confidence is not None else 0.99
            label = said[n] if said is not None else truth
            if keep:
                self.objects.put(f"inputs/{moment.date().isoformat()}/{digest}", data)
            digests.append(digest)
            self.truth[digest] = truth
            strange = bool(novel[n]) if novel is not None else False
            rows.append(
                prediction(
                    n,
                    time=int(moment.timestamp() * 1000),
                    digest=digest,
                    labels=[[label, sure], ["other", 1 - sure]],
                    novelty=2.0 + n / 1000 if strange else 0.1,
                    novel=strange,
                    source=source,
                )
            )
        opened = int(at.timestamp() * 1000)
        data = segment(
            rows, opened=opened, application=self.application, environment=environment, version=version
        )
        self.archive().put(parse_segment(data))
        return digests


@cache
def digits() -> Dataset:
    """The base of the application."""
    return load_dataset("digits?items=300", cache=Path("unused"))


RULES = Rules(
    per_day=40,
    random=0.5,
    overlap=1.0,
    settle=timedelta(0),
    event=5,
    gate=Gate(0.6, 5, 3),
    placing=Placing(0.5, 0.2, 4),
)


def office(folder: Path, log: Log, rules: Rules = RULES, base: Dataset | None = None) -> Office:
    """An office whose desk is a folder."""
    found = base or digits()
    datasets = folder / "datasets"
    place = Place(
        book=Book(folder / "book.sqlite"),
        media=Media(folder / "inputs", KEY),
        desk=FolderDesk(folder / "desk"),
        archive=log.archive,
        datasets=lambda name: (FolderObjects(datasets / name), str(datasets / name)),
        base=lambda _: found,
        key=KEY,
    )
    return Office(place, rules)


def answer_all(
    work: Office,
    log: Log,
    people: Sequence[str] = ("ann", "bob"),
    wrong: Sequence[str] = (),
    *,
    at: datetime = NOON + timedelta(hours=1),
) -> int:
    """Everybody answers every task that was sent; those in `wrong` say something else, each time another thing."""
    desk = work.place.desk
    assert isinstance(desk, FolderDesk)
    tasks: list[Task] = work.place.book.tasks(log.application, "sent")
    for n, task in enumerate(tasks):
        for name in people:
            truth = log.truth[task.digest]
            said = str((int(truth) + 1 + n % 8) % 10) if name in wrong else truth
            desk.answer(log.application, task.digest, name, Answer((said,)), at=at)
    return len(tasks)


def with_rules(**changes: object) -> Rules:
    """The rules of the tests, but for what is given."""
    return replace(RULES, **changes)  # type: ignore[arg-type]


def made(folder: Path, count: int = 60, **rules: object) -> tuple[Log, Office]:
    """An office over a log of unsure predictions, the first the least sure."""
    log = Log(folder / "monitor")
    log.serve([shifted_png(n) for n in range(count)], confidence=[0.3 + n / 100 for n in range(count)])
    return log, office(folder, log, with_rules(**rules))


def version_file(folder: Path, number: int) -> dict[str, Any]:
    """A version of the dataset as it was written."""
    path = folder / "datasets" / APPLICATION / "versions" / f"{number:06d}.json"
    return dict(json.loads(path.read_text()))
