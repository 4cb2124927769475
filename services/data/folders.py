"""Folders by class: `<class>/…`, or `training|validation|evaluation/<class>/…` as Food-11 has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from services.data.assemble import Candidate, Origin, assemble
from services.data.birdclef import birdclef_candidates, is_birdclef
from services.data.dataset import Dataset, Problem
from services.data.options import Options
from services.data.scan import Found, ignored, scan
from services.data.splits import Split, assign_splits

_SPLIT_FOLDERS: dict[str, Split] = {
    "training": "training",
    "train": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "evaluation": "evaluation",
    "test": "evaluation",
}


def load_folder(
    source: str, root: Path, options: Options, cache: Path, known_problems: Iterable[Problem] = ()
) -> Dataset:
    """The dataset in a folder, in whichever of the three layouts it is.

    Options: `min_items` leaves out classes with fewer files; `group_until` is a text, and files whose names
    are equal up to its last occurrence are windows of one recording.

    Raises:
        DatasetError: BirdCLEF's train.csv cannot be understood.
        InvalidInput: an option is unknown or out of bounds.
    """
    min_items = options.integer("min_items", 0, 0, 1_000_000)
    group_until = options.text("group_until", "")
    options.finish()
    root = root.resolve()
    found, problems = scan(root)
    problems += known_problems
    if is_birdclef(found):
        candidates = birdclef_candidates(root, found, problems)
        classes = frozenset(candidate.labels[0] for candidate in candidates)
        origin = Origin(source, root, cache, "multi-label", min_items, classes)
        return assemble(origin, candidates, problems)
    given = given_splits(found)
    candidates = class_candidates(found, problems, group_until, depth=1 if given else 0)
    if given:
        candidates = with_given_splits(candidates, given)
    classes = _class_folders([root / top for top in given] or [root])
    return assemble(Origin(source, root, cache, "single-label", min_items, classes), candidates, problems)


def _class_folders(parents: list[Path]) -> frozenset[str]:
    """Names of the folders of classes, those without a file too."""
    return frozenset(
        entry.name
        for parent in parents
        for entry in parent.iterdir()
        if entry.is_dir() and not entry.is_symlink() and not ignored(entry.name)
    )


def given_splits(found: Iterable[Found]) -> dict[str, Split]:
    """The split of each top folder, if all top folders are names of splits and training is among them."""
    tops = {file.parts[0] for file in found if len(file.parts) > 1}
    given = {top: _SPLIT_FOLDERS[top] for top in tops if top in _SPLIT_FOLDERS}
    return given if tops and len(given) == len(tops) and "training" in given.values() else {}


def class_candidates(
    found: Iterable[Found], problems: list[Problem], group_until: str, depth: int
) -> list[Candidate]:
    """Files with the folder at `depth` as their label. Files in one subfolder of a class are one group."""
    candidates = []
    for file in found:
        parts = file.parts
        if len(parts) < depth + 2:
            problems.append(Problem(file.id, "no-class", "the file is in no folder of a class"))
            continue
        candidates.append(Candidate(file, (parts[depth],), _group(parts, group_until, depth)))
    return candidates


def _group(parts: list[str], group_until: str, depth: int) -> str:
    if len(parts) > depth + 2:
        return "/".join(parts[: depth + 2])
    folder, name = "/".join(parts[:-1]), parts[-1]
    if group_until and group_until in name:
        name = name[: name.rindex(group_until)]
    return f"{folder}/{name}"


def with_given_splits(candidates: list[Candidate], given: dict[str, Split]) -> list[Candidate]:
    """Folders decide the split; a split that has no folder gets its share of training by the hash."""
    training = {one.group: one.labels[0] for one in candidates if given[one.found.parts[0]] == "training"}
    hashed = assign_splits(training)
    present = set(given.values())
    result = []
    for one in candidates:
        split = given[one.found.parts[0]]
        if split == "training":
            split = _share(hashed[one.group], present)
        result.append(Candidate(one.found, one.labels, one.group, split))
    return result


def _share(hashed: Split, present: set[Split]) -> Split:
    if "evaluation" not in present and "validation" not in present:
        return hashed
    if hashed == "evaluation":
        return "training" if {"evaluation", "validation"} <= present else _missing(present)
    return "training"


def _missing(present: set[Split]) -> Split:
    return "validation" if "validation" not in present else "evaluation"
