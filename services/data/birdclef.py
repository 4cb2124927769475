"""The layout of BirdCLEF: `train.csv` and `train_audio/<species>/*.ogg`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from services.common.errors import DatasetError
from services.data.assemble import Candidate
from services.data.dataset import Problem
from services.data.scan import Found

TABLE = "train.csv"
AUDIO = "train_audio"
_REQUIRED = ("primary_label", "filename")
_QUOTED = r"'[^'\\]*'|\"[^\"\\]*\""
_LIST = re.compile(rf"\s*\[\s*(?:(?:{_QUOTED})\s*(?:,\s*(?:{_QUOTED})\s*)*,?)?\s*\]\s*")
_MOST_ROWS = 2_000_000
_LONGEST_LIST = 10_000


def is_birdclef(found: Iterable[Found]) -> bool:
    """Whether the table and files in the folder of sounds are there."""
    tops = {(file.parts[0], len(file.parts) > 1) for file in found}
    return (TABLE, False) in tops and (AUDIO, True) in tops


def parse_labels(text: str) -> list[str]:
    """The strings in the text of a list such as `['abc', 'def']`, read by a grammar and never evaluated.

    Raises:
        ValueError: it is anything else than a flat list of quoted strings without escapes.
    """
    if not text.strip():
        return []
    if len(text) > _LONGEST_LIST or _LIST.fullmatch(text) is None:
        raise ValueError(f"no list of quoted labels: {text[:80]!r}")
    return [label[1:-1] for label in re.findall(_QUOTED, text) if label[1:-1]]


def birdclef_candidates(root: Path, found: Iterable[Found], problems: list[Problem]) -> list[Candidate]:
    """A candidate for each row whose file exists where its label says; the group is author and species.

    Raises:
        DatasetError: the table is no CSV in UTF-8 or lacks a column.
    """
    sounds = {file.id: file for file in found if file.id.startswith(AUDIO + "/")}
    candidates: dict[str, Candidate] = {}
    bad = {problem.path for problem in problems}
    for row in _rows(root / TABLE):
        label = row["primary_label"].strip()
        if not label:
            problems.append(
                Problem(row["filename"][:200], "mislabelled", f"{TABLE} gives it no primary_label")
            )
            continue
        id_ = _file_id(row["filename"].strip(), label)
        if id_ is None:
            problems.append(
                Problem(row["filename"][:200], "unsafe-path", "the file name leads out of train_audio")
            )
            continue
        problem = _row_problem(id_, label, row, sounds, candidates)
        if problem is not None:
            problems.append(problem)
            bad.add(id_)
            if problem.reason == "mislabelled":
                candidates.pop(id_, None)
            continue
        if id_ not in bad and id_ not in candidates:
            author = (row.get("author") or "").strip()
            group = f"{author}/{label}" if author else id_
            candidates[id_] = Candidate(sounds[id_], (label, *_secondary(row, label)), group)
    for id_ in sorted(set(sounds) - set(candidates) - bad):
        problems.append(Problem(id_, "not-in-table", f"no row of {TABLE} names the file"))
    return list(candidates.values())


def _row_problem(
    id_: str, label: str, row: dict[str, str], sounds: dict[str, Found], known: dict[str, Candidate]
) -> Problem | None:
    folder = PurePosixPath(id_).parent.name
    if folder != label:
        return Problem(id_, "mislabelled", f"{TABLE} says {label}, the folder says {folder}")
    if id_ not in sounds:
        return Problem(id_, "missing-file", f"named in {TABLE} but not there")
    try:
        secondary = _secondary(row, label)
    except ValueError as error:
        return Problem(id_, "bad-secondary-labels", str(error))
    if id_ in known and known[id_].labels != (label, *secondary):
        return Problem(id_, "mislabelled", f"two rows of {TABLE} with different labels")
    return None


def _secondary(row: dict[str, str], label: str) -> list[str]:
    found = parse_labels(row.get("secondary_labels") or "")
    return [one for one in dict.fromkeys(found) if one != label]


def _file_id(filename: str, label: str) -> str | None:
    """Path under the root, None if it leaves train_audio. Early years name the file without its folder."""
    parts = filename.split("/")
    if len(parts) == 1:
        parts = [label, *parts]
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        return None
    return "/".join([AUDIO, *parts])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or [])]
            if missing:
                raise DatasetError(f"{TABLE} has no column {missing[0]}", value=list(reader.fieldnames or []))
            for number, row in enumerate(reader):
                if number >= _MOST_ROWS:
                    raise DatasetError(f"{TABLE} has too many rows", allowed=str(_MOST_ROWS))
                yield row
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DatasetError(f"{TABLE} cannot be read: {error}") from error
