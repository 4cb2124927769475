"""A dataset: labelled recordings or pictures, each in one split, with what was wrong with the rest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from services.common.digest import canonical_json, digest_bytes
from services.common.errors import IntegrityError, NotFound
from services.data.splits import SPLITS, Split

Kind = Literal["image", "audio"]
Task = Literal["single-label", "multi-label"]
AUDIO_TYPES = frozenset({"wav", "ogg", "flac", "mp3"})
IMAGE_TYPES = frozenset({"png", "jpeg"})
INACCESSIBLE = "inaccessible"


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not as it should be. `skipped` is false where the file is used all the same.

    The reason `inaccessible` is the machine's, not the file's: it may be read another time.
    """

    path: str
    reason: str
    detail: str
    skipped: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "reason": self.reason, "detail": self.detail, "skipped": self.skipped}


@dataclass(frozen=True, slots=True)
class Item:
    """One recording or picture.

    Args:
        id: path relative to the dataset, with `/`.
        labels: the primary label first, then the secondary ones (multi-label audio).
        group: items of one group are never in different splits.
        media_type: wav, ogg, flac, mp3, png or jpeg, by content.
        sha256: hex digits of the content.
        content: the bytes, or the file that has them.
        seconds: length of a sound, 0 for a picture.
    """

    id: str
    labels: tuple[str, ...]
    group: str
    split: Split
    media_type: str
    sha256: str
    content: bytes | Path = field(repr=False)
    seconds: float = 0.0

    @property
    def primary(self) -> str:
        return self.labels[0]

    @property
    def secondary(self) -> tuple[str, ...]:
        return self.labels[1:]

    def read(self) -> bytes:
        """The encoded file.

        Raises:
            NotFound: the file has gone since the scan.
            IntegrityError: its bytes are not those that were scanned.
        """
        if isinstance(self.content, bytes):
            return self.content
        try:
            data = self.content.read_bytes()
        except OSError as error:
            raise NotFound(
                f"a file of the dataset cannot be read: {error.strerror}", value=self.id
            ) from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise IntegrityError("a file of the dataset has changed since it was scanned", value=self.id)
        return data


@dataclass(frozen=True)
class Dataset:
    """What `load_dataset` gives. `labels` is sorted, `defaults` is what the data suggests for preprocessing.

    Keys of `defaults`: height, width (pixels, 16 to 224), channels, invert for pictures; sample_rate (Hz), seconds
    (median length) for sounds.
    """

    source: str
    kind: Kind
    task: Task
    labels: list[str]
    items: list[Item]
    digest: str
    problems: list[Problem] = field(default_factory=list)
    defaults: dict[str, int | float | bool] = field(default_factory=dict)

    def split(self, name: str) -> list[Item]:
        """The items of one split, in the order of their ids."""
        if name not in SPLITS:
            raise NotFound("no such split", value=name, allowed=", ".join(SPLITS))
        return [item for item in self.items if item.split == name]

    def class_counts(self, split: str | None = None) -> dict[str, int]:
        """Items for each label (primary and secondary), of one split or of all, zeros included."""
        counted = Counter(
            label for item in self.items if split is None or item.split == split for label in item.labels
        )
        return {label: counted[label] for label in self.labels}

    def split_sizes(self) -> dict[str, int]:
        """Items in each split."""
        counted = Counter(item.split for item in self.items)
        return {name: counted[name] for name in SPLITS}

    def report(self) -> dict[str, Any]:
        """What was found, for `dataset.json`; `services.data.report.html_report` makes the page of it."""
        from services.data.report import report

        return report(self)

    def report_html(self) -> str:
        """The report as one self-contained page."""
        from services.data.report import html_report

        return html_report(self)


def make_dataset(
    source: str,
    kind: Kind,
    task: Task,
    items: Iterable[Item],
    problems: Iterable[Problem] = (),
    defaults: dict[str, int | float | bool] | None = None,
) -> Dataset:
    """A dataset with its items in order, its labels and its digest."""
    ordered = sorted(items, key=lambda item: item.id)
    return Dataset(
        source=source,
        kind=kind,
        task=task,
        labels=sorted({item.primary for item in ordered}),
        items=ordered,
        digest=dataset_digest(ordered),
        problems=sorted(problems, key=lambda problem: (problem.path, problem.reason)),
        defaults=defaults or {},
    )


def dataset_digest(items: Iterable[Item]) -> str:
    """SHA-256 over sorted paths, contents, labels and splits: equal data has an equal digest anywhere."""
    rows = sorted([item.id, item.sha256, list(item.labels), item.split] for item in items)
    return digest_bytes(canonical_json(rows))
