"""Files that are there whole or not at all, whatever dies while they are written."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` when the block ends well, on disk before it has the name.

    Processes and threads write beside each other; who ends last is heard.

    Args:
        mode: permissions of the new file, less the umask.

    Raises:
        OSError: the disk is full or not writable; the former file is still there, and nothing of the new one.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file that is this user's alone; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, 0o600) as file:
        file.write(json.dumps(value, indent=2).encode() + b"\n")
