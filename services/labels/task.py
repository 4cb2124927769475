"""What the parts of labelling hand to each other: chosen inputs, tasks, and what people said of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from services.common.errors import InvalidInput
from services.data.dataset import Kind
from services.data.dataset import Task as Target

Reason = Literal["random", "unsure", "novel", "disagreement"]
REASONS: tuple[Reason, ...] = ("random", "disagreement", "novel", "unsure")
SOMETHING_ELSE, CANNOT_TELL = "(something else)", "(cannot tell)"
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Record:
    """One prediction of the log.

    Attributes:
        time: milliseconds since 1970.
        digest: SHA-256 of the input, hex.
        labels, probabilities: the likeliest first.
        source: site or device that the client named.
    """

    time: int
    digest: str
    version: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    novelty: float
    source: str = ""

    @property
    def confidence(self) -> float:
        return self.probabilities[0]

    @property
    def group(self) -> str:
        """What must not be in two splits: an hour of a source; an input of no source stands alone."""
        return f"{self.source}/{self.time // 3_600_000}" if self.source else self.digest


@dataclass(frozen=True, slots=True)
class Task:
    """An input that people are asked about.

    Attributes:
        reason: why it was chosen first; a draw of the random share is never chosen for another reason.
        media_type: of what people are shown.
        overlap: how many people are asked.
        shown: digest of what people are shown, and a model learns from, where it is not the input itself.
    """

    application: str
    record: Record
    reason: Reason
    media_type: str
    overlap: int = 1
    shown: str = ""

    @property
    def digest(self) -> str:
        return self.record.digest

    @property
    def content(self) -> str:
        """Digest of the file that people see."""
        return self.shown or self.record.digest


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says is there.

    Attributes:
        labels: names of classes, sorted, known ones or not; empty with `other`: none of the classes.
        sure: false: it cannot be told; then the rest says nothing.
        other: a name that was written by hand, for what has no class.
    """

    labels: tuple[str, ...] = ()
    sure: bool = True
    other: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "sure": self.sure, "other": self.other}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Answer:
        """The inverse. Raises KeyError or TypeError for anything else."""
        labels, sure, other = value["labels"], value["sure"], value["other"]
        if not (isinstance(labels, list) and isinstance(sure, bool) and isinstance(other, str)):
            raise TypeError("this is no answer")
        if not all(isinstance(label, str) for label in labels):
            raise TypeError("a label is a text")
        return cls(tuple(sorted(set(labels))), sure, other)

    def checked(self, classes: Collection[str]) -> Answer:
        """The same with names that can be classes; those of the classes stay as they are.

        Raises:
            InvalidInput: a name that can be none, or nothing is said.
        """
        if not self.sure:
            return Answer(sure=False)
        given = [name for name in self.labels if name != SOMETHING_ELSE]
        names = {name if name in classes else clean(name) for name in given}
        other = self.other.strip()
        if not self.labels and not other:
            raise InvalidInput("nothing was chosen")
        return Answer(
            tuple(sorted(names)), True, (other if other in classes else clean(other)) if other else ""
        )

    @property
    def named(self) -> tuple[str, ...]:
        """All classes that it names, the one written by hand too."""
        return tuple(sorted({*self.labels, *([self.other] if self.other else [])}))


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person said of one input.

    Attributes:
        id: the desk's own, never used twice.
        at: ISO 8601.
    """

    id: str
    digest: str
    annotator: str
    at: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Stray:
    """Something on the desk that is no answer to a task of ours; kept with the reason, never lost."""

    id: str
    reason: str
    content: str


@dataclass(frozen=True)
class Project:
    """What is asked about an application's inputs."""

    application: str
    kind: Kind
    target: Target
    classes: tuple[str, ...]


@dataclass
class Batch:
    """What a desk has: annotations and strays."""

    annotations: list[Annotation] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)


def clean(name: str) -> str:
    """A name of a class as it is compared: NFC, single spaces.

    Raises:
        InvalidInput: empty, too long, unprintable, a path, or one of the two answers that are no classes.
    """
    if not isinstance(name, str):
        raise InvalidInput("a label is a text", value=name)
    text = " ".join(unicodedata.normalize("NFC", name).split())
    if not text or len(text) > _LONGEST or not text.isprintable() or text[0] == "." or set(text) & set("/\\"):
        raise InvalidInput(
            "this is no name of a class",
            value=name,
            allowed=f"1 to {_LONGEST} printable characters, no / or \\, not beginning with a dot",
        )
    if text in (SOMETHING_ELSE, CANNOT_TELL):
        raise InvalidInput("this name has a meaning of its own", value=name)
    return text
