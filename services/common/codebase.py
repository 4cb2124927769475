"""Which files a module of ours needs, and one digest over them: code is the same when the code that is run is the same.

Imports are read, not executed, so that a revision in git can be asked as well as the files that run. A file's
identity is that of git's blobs, which git gives without reading them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from services.common.digest import canonical_json, digest_bytes

PACKAGES = ("services", "workflows")
TRAINING = "services/train/training.py"
EVALUATION = "services/evaluate/evaluation.py"
SERVING = "services/serve/app.py"
Read = Callable[[str], bytes | None]


def needed(read: Read, entry: str) -> dict[str, str]:
    """Path → blob identity of a module and of all of ours that it imports, wherever in their text.

    Args:
        read: the bytes of a path such as services/train/fit.py; None when there is no such file.
    """
    found: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path in found or (data := read(path)) is None:
            continue
        found[path] = blob(data)
        waiting += _imported(data)
    return found


def code_digest(read: Read, entry: str) -> str:
    """One digest over the code of a module; `unknown` when the module is not there."""
    files = needed(read, entry)
    return digest_bytes(canonical_json(sorted(files.items()))) if files else "unknown"


def blob(data: bytes) -> str:
    """The identity that git gives these bytes. Source: git-hash-object(1)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def on_disk(root: Path) -> Read:
    """Reads the files below a folder."""

    def read(path: str) -> bytes | None:
        try:
            return (root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    return read


@lru_cache(maxsize=1024)
def _imported(data: bytes) -> tuple[str, ...]:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return ()
    return tuple(dict.fromkeys(path for node in _run(tree) for path in _paths(node)))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _run(child)


def _paths(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return
    for name in names:
        if name.split(".")[0] in PACKAGES:
            path = name.replace(".", "/")
            yield f"{path}.py"
            yield f"{path}/__init__.py"
