"""Files as one commit or a checkout has them; changes are kept beside until they are committed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from services.common.errors import InvalidInput
from workflows.release.git import Git, GitError


class ReadTree(Protocol):
    """Whatever files can be read from by a path relative to the repository's root."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or nothing when there is none."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; empty when there is none."""


class FolderTree:
    """A checkout on disk, read only."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or nothing when there is none."""
        file = self.root / check_path(path)
        return file.read_bytes() if file.is_file() else None

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; empty when there is none."""
        place = self.root / check_path(folder)
        return sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []


class Tree:
    """The files of one commit; `write` and `delete` stage changes in memory only.

    Attributes:
        revision: the commit that the files are of.
        changes: path → new bytes, or nothing for a deletion.
    """

    def __init__(self, git: Git, revision: str) -> None:
        self.git = git
        self.revision = revision
        self.changes: dict[str, bytes | None] = {}

    def read(self, path: str) -> bytes | None:
        """The file's bytes with staged changes, or nothing when there is none."""
        path = check_path(path)
        return self.changes[path] if path in self.changes else self.committed(path)

    def committed(self, path: str) -> bytes | None:
        """The file's bytes in the commit itself.

        Raises:
            GitError: the commit has the file and it cannot be read; that is never taken for a missing file.
        """
        path = check_path(path)
        try:
            return self.git.run("cat-file", "blob", f"{self.revision}:{path}")
        except GitError:
            if self._kind(path) == "blob":
                raise
            return None

    def names(self, folder: str) -> list[str]:
        """The names in a folder of the commit, sorted; empty when there is none."""
        folder = check_path(folder)
        try:
            listed = self.git.run("ls-tree", "-z", "--name-only", f"{self.revision}:{folder}")
        except GitError:
            if self._kind(folder) == "tree":
                raise
            return []
        return sorted(name for name in listed.decode(errors="replace").split("\0") if name)

    def _kind(self, path: str) -> str | None:
        """What the commit has at a path, as its folder says; GitError when the commit cannot be read."""
        listed = self.git.run("--literal-pathspecs", "ls-tree", "-z", self.revision, "--", path)
        return listed.split(b" ")[1].decode() if listed else None

    def write(self, path: str, data: bytes) -> None:
        """Stage new content; content as it is in the commit stages nothing."""
        path = check_path(path)
        self.changes.pop(path, None)
        if self.committed(path) != data:
            self.changes[path] = data

    def delete(self, path: str) -> None:
        """Stage the removal of a file that the commit has."""
        path = check_path(path)
        self.changes.pop(path, None)
        if self.committed(path) is not None:
            self.changes[path] = None

    def write_tree(self) -> str:
        """The id of the git tree with the changes applied."""
        with _temporary_index() as environment:
            self.git.run("read-tree", self.revision, environment=environment)
            lines = []
            for path, data in sorted(self.changes.items()):
                if data is None:
                    lines.append(f"0 {'0' * 40}\t{path}\0")
                else:
                    blob = self.git.run("hash-object", "-w", "--stdin", data=data).decode().strip()
                    lines.append(f"100644 {blob}\t{path}\0")
            self.git.run(
                "update-index", "-z", "--index-info", data="".join(lines).encode(), environment=environment
            )
            return self.git.run("write-tree", environment=environment).decode().strip()


def check_path(path: str) -> str:
    """The path itself when it stays below the root.

    Raises:
        InvalidInput: absolute, with `..` or an empty part, with control characters, or inside `.git`.
    """
    pure = PurePosixPath(path)
    plain = pure.as_posix() == path and path.isprintable() and "\\" not in path and path != "."
    if not plain or pure.is_absolute() or ".." in pure.parts or ".git" in pure.parts or ":" in path:
        raise InvalidInput("this is no path inside the repository", value=path)
    return path


@contextmanager
def _temporary_index() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="rookery-index-") as folder:
        yield {"GIT_INDEX_FILE": os.path.join(folder, "index")}  # noqa: PTH118
