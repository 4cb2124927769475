"""From files with labels to a dataset: check each, leave out with a reason what is no use, split the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from services.data.checks import FileCheck, check_files
from services.data.dataset import Dataset, Item, Kind, Problem, Task, make_dataset
from services.data.scan import Found
from services.data.splits import Split, assign_splits

_SMALLEST_SIDE, _LARGEST_SIDE = 16, 224  # pixels
_PREFERRED: dict[Split | None, int] = {"evaluation": 0, "validation": 1, "training": 2, None: 3}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that a layout gives labels to. `split` is None where the hash of the group is to decide."""

    found: Found
    labels: tuple[str, ...]
    group: str
    split: Split | None = None

    @property
    def id(self) -> str:
        return self.found.id


@dataclass(frozen=True, slots=True)
class Origin:
    """What the assembly needs beside the files. Classes with fewer than `min_items` files are left out."""

    source: str
    root: Path
    cache: Path
    task: Task
    min_items: int = 0
    classes: frozenset[str] = frozenset()


def assemble(origin: Origin, candidates: Iterable[Candidate], problems: list[Problem]) -> Dataset:
    """The dataset of all candidates that can be used; the others become problems."""
    listed = list(candidates)
    checks = check_files(origin.root, [candidate.found for candidate in listed], origin.cache)
    good = _readable(listed, checks, problems)
    kind, good = _one_kind(good, checks, problems)
    good = _without_copies(good, checks, problems)
    frequent = _without_rare(good, origin, problems)
    rare = {one.labels[0] for one in good} - {one.labels[0] for one in frequent}
    good = _known_labels(frequent, problems)
    splits = _splits(good)
    items = [_item(candidate, checks[candidate.id], splits[candidate.id]) for candidate in good]
    _report_empty_classes(origin.classes - rare, items, problems)
    defaults = _defaults(kind, [checks[candidate.id] for candidate in good])
    return make_dataset(origin.source, kind, origin.task, items, problems, defaults)


def _readable(
    candidates: list[Candidate], checks: Mapping[str, FileCheck], problems: list[Problem]
) -> list[Candidate]:
    for candidate in candidates:
        check = checks[candidate.id]
        if check.fault:
            problems.append(Problem(candidate.id, check.fault, check.detail))
    return [candidate for candidate in candidates if not checks[candidate.id].fault]


def _one_kind(
    candidates: list[Candidate], checks: Mapping[str, FileCheck], problems: list[Problem]
) -> tuple[Kind, list[Candidate]]:
    counted = Counter(checks[candidate.id].kind for candidate in candidates)
    kind: Kind = "image" if counted["image"] > counted["audio"] else "audio"
    for candidate in candidates:
        if (other := checks[candidate.id].kind) != kind:
            problems.append(Problem(candidate.id, "other-kind", f"{other} in a dataset of {kind}"))
    return kind, [candidate for candidate in candidates if checks[candidate.id].kind == kind]


def _without_copies(
    candidates: list[Candidate], checks: Mapping[str, FileCheck], problems: list[Problem]
) -> list[Candidate]:
    """Equal bytes: of one label the first is kept (of evaluation, if splits are given), of two none."""
    same: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        same.setdefault(checks[candidate.id].sha256, []).append(candidate)
    kept = []
    for copies in same.values():
        copies.sort(key=lambda copy: (_PREFERRED[copy.split], copy.id))
        if len({copy.labels[0] for copy in copies}) > 1:
            for copy in copies:
                other = next(one for one in copies if one.labels[0] != copy.labels[0])
                detail = (
                    f"the same bytes are labelled {copy.labels[0]} here and {other.labels[0]} in {other.id}"
                )
                problems.append(Problem(copy.id, "mislabelled", detail))
            continue
        kept.append(copies[0])
        for copy in copies[1:]:
            problems.append(Problem(copy.id, "duplicate", f"the same bytes as {copies[0].id}"))
    return kept


def _without_rare(candidates: list[Candidate], origin: Origin, problems: list[Problem]) -> list[Candidate]:
    counted = Counter(candidate.labels[0] for candidate in candidates)
    rare = {label for label, count in counted.items() if count < origin.min_items}
    for candidate in candidates:
        if candidate.labels[0] in rare:
            label = candidate.labels[0]
            detail = f"{label} has {counted[label]} files, min_items={origin.min_items}"
            problems.append(Problem(candidate.id, "rare-class", detail))
    return [candidate for candidate in candidates if candidate.labels[0] not in rare]


def _known_labels(candidates: list[Candidate], problems: list[Problem]) -> list[Candidate]:
    """Secondary labels of which no recording of their own exists cannot be learned; the item stays."""
    known = {candidate.labels[0] for candidate in candidates}
    result = []
    for candidate in candidates:
        if known.issuperset(candidate.labels):
            result.append(candidate)
            continue
        labels = tuple(label for label in candidate.labels if label in known)
        unknown = sorted(set(candidate.labels) - known)
        detail = "no recordings of " + ", ".join(unknown)[:200]
        problems.append(Problem(candidate.id, "unknown-secondary-label", detail, skipped=False))
        result.append(replace(candidate, labels=labels))
    return result


def _splits(candidates: list[Candidate]) -> dict[str, Split]:
    hashed = assign_splits({one.group: one.labels[0] for one in candidates if one.split is None})
    return {one.id: one.split or hashed[one.group] for one in candidates}


def _item(candidate: Candidate, check: FileCheck, split: Split) -> Item:
    return Item(
        id=candidate.id,
        labels=candidate.labels,
        group=candidate.group,
        split=split,
        media_type=check.media_type,
        sha256=check.sha256,
        content=candidate.found.path,
        seconds=check.seconds,
    )


def _report_empty_classes(expected: frozenset[str], items: list[Item], problems: list[Problem]) -> None:
    for label in sorted(expected - {item.primary for item in items}):
        problems.append(Problem(label, "empty-class", "no file of this class can be used"))


def _defaults(kind: Kind, checks: list[FileCheck]) -> dict[str, int | float | bool]:
    if not checks:
        return {}
    if kind == "image":
        grey = all(check.channels == 1 for check in checks)
        return {
            "height": _side(median(check.height for check in checks)),
            "width": _side(median(check.width for check in checks)),
            "channels": 1 if grey else 3,
            "invert": False,
        }
    return {
        "sample_rate": int(median(check.sample_rate for check in checks)),
        "seconds": float(median(check.seconds for check in checks)),
    }


def _side(pixels: float) -> int:
    """A side that networks for pictures are made for, however large the photos are."""
    return int(min(max(pixels, _SMALLEST_SIDE), _LARGEST_SIDE))
