"""Where people answer. A desk is Label Studio, or a folder of JSON files for whoever answers by other means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from services.common.errors import InvalidInput, NotFound
from services.common.files import write_json
from services.labels.task import Annotation, Answer, Batch, Project, Stray, Task

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANNOTATOR = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
Links = Callable[[Task], dict[str, str]]


class Desk(Protocol):
    """Takes tasks and gives answers. Every method can be repeated."""

    def open(self, project: Project) -> bool:
        """Make the project of an application, or bring its classes up to date; true: it was made now."""

    def put(self, project: Project, tasks: Sequence[Task], links: Links) -> None:
        """Lay tasks on the desk, those that lie there already not again.

        Args:
            links: addresses of a task's input, and of its spectrogram if it is a sound.
        """

    def collect(self, project: Project) -> Batch:
        """All that people said, each time from the beginning."""


class FolderDesk:
    """`<application>/tasks/<digest>.json` and `<application>/annotations/<digest>.<annotator>.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, project: Project) -> bool:
        """Write `project.json`."""
        path = self.folder / project.application / "project.json"
        fresh = not path.exists()
        write_json(path, asdict(project))
        return fresh

    def put(self, project: Project, tasks: Sequence[Task], links: Links) -> None:
        """One file a task."""
        for task in tasks:
            path = self.folder / project.application / "tasks" / f"{task.digest}.json"
            if not path.exists():
                write_json(path, {**asdict(task), **links(task)})

    def answer(
        self, application: str, digest: str, annotator: str, answer: Answer, *, at: datetime | None = None
    ) -> None:
        """Say what an input is; saying it again replaces it.

        Raises:
            InvalidInput: no digest, or no name of a person.
            NotFound: there is no such task.
        """
        if not _DIGEST.fullmatch(digest) or not _ANNOTATOR.fullmatch(annotator):
            raise InvalidInput("this is no digest, or no name of a person", value=(digest, annotator))
        if not (self.folder / application / "tasks" / f"{digest}.json").exists():
            raise NotFound("there is no such task", value=digest)
        path = self.folder / application / "annotations" / f"{digest}.{annotator}.json"
        moment = (at or datetime.now(UTC)).isoformat()
        write_json(path, {"annotator": annotator, "at": moment, **answer.as_dict()})

    def collect(self, project: Project) -> Batch:
        """Read all answers; a file that is none is a stray."""
        batch = Batch()
        tasks = {path.stem for path in (self.folder / project.application / "tasks").glob("*.json")}
        for path in sorted((self.folder / project.application / "annotations").glob("*.json")):
            text = path.read_text(errors="replace")
            digest = path.name.partition(".")[0]
            if digest not in tasks:
                batch.strays.append(Stray(path.name, "it is about no task of ours", text))
                continue
            try:
                value: Any = json.loads(text)
                at = datetime.fromisoformat(value["at"]).isoformat()
                answer = Answer.from_dict(value).checked(project.classes)
                batch.annotations.append(
                    Annotation(path.name, digest, str(value["annotator"])[:100], at, answer)
                )
            except (ValueError, KeyError, TypeError, InvalidInput) as error:
                batch.strays.append(Stray(path.name, f"it cannot be read: {error}", text))
        return batch
