"""Which files lie under a folder, without leaving it by a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import DatasetError
from services.data.dataset import INACCESSIBLE, Problem

_IGNORED = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_MOST_FILES = 2_000_000
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file: `id` is its path under the root with `/`; size in bytes; change in ns."""

    id: str
    location: str
    size: int
    changed_ns: int

    @property
    def path(self) -> Path:
        return Path(self.location)

    @property
    def parts(self) -> list[str]:
        return self.id.split("/")


def scan(root: Path) -> tuple[list[Found], list[Problem]]:
    """All regular files in the order of their ids; hidden files and those of file managers are left out.

    Links to files within the root are followed, links to folders never. Pipes, devices and links that lead
    out of the root are not opened, they become problems.

    Raises:
        DatasetError: there are more than two million files.
    """
    found: list[Found] = []
    problems: list[Problem] = []
    for id_, entry in _walk(root, "", problems):
        if len(found) >= _MOST_FILES:
            raise DatasetError(
                "too many files in the folder of the data", value=str(root), allowed=str(_MOST_FILES)
            )
        try:
            problem = _unfit(root, id_, entry)
            facts = entry.stat() if problem is None else None
        except OSError as error:
            problem, facts = Problem(id_, INACCESSIBLE, error.strerror or "the file has gone"), None
        if problem is not None or facts is None:
            problems += [problem] if problem else []
            continue
        found.append(Found(id_, entry.path, facts.st_size, facts.st_mtime_ns))
    found.sort(key=lambda file: file.id)
    return found, problems


def ignored(name: str) -> bool:
    """Hidden, or made by a file manager."""
    return name.startswith(".") or name in _IGNORED


def _walk(root: Path, start: str, problems: list[Problem]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    folders = [start]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                listed = [entry for entry in entries if not ignored(entry.name)]
        except OSError as error:
            problems.append(
                Problem(folder or ".", INACCESSIBLE, error.strerror or "the folder cannot be read")
            )
            continue
        for entry in listed:
            id_ = f"{folder}/{entry.name}" if folder else entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield id_, entry
            elif id_.count("/") < _DEEPEST:
                folders.append(id_)
            else:
                problems.append(Problem(_shown(id_), "too-deep", f"folders nest more than {_DEEPEST} deep"))


def _unfit(root: Path, id_: str, entry: os.DirEntry[str]) -> Problem | None:
    shown = _shown(id_)
    if shown != id_:
        return Problem(shown, "bad-name", "the file's name is not UTF-8 or has control characters")
    if entry.is_symlink():
        real = Path(os.path.realpath(entry.path))
        if not real.is_relative_to(root):
            return Problem(id_, "link-outside", "the link leads out of the folder of the data")
        if not real.exists():
            return Problem(id_, "missing-file", "the link leads to nothing")
        if real.is_dir():
            return Problem(id_, "folder-link", "links to folders are not followed")
    if not stat.S_ISREG(entry.stat().st_mode):
        return Problem(id_, "not-a-file", "only regular files are opened")
    return None


def _shown(id_: str) -> str:
    text = id_.encode("utf-8", "backslashreplace").decode()
    return text if text.isprintable() else text.encode("unicode_escape").decode()
