"""The journal of a run: one JSON object a line, on disk before anything that depends on it happens.

The engine appends; everybody else reads. A torn last line (the machine stopped while it was written) is left out and
cut off by the next engine. A broken line before the end is an error: then the file was altered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.common.errors import IntegrityError


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All whole records."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise IntegrityError(f"{path.name} line {number} of run {path.parent.name} is no JSON") from error
        if not isinstance(record, dict):
            raise IntegrityError(f"{path.name} line {number} of run {path.parent.name} is no record")
        records.append(record)
    return records


class Journal:
    """Appends records, each batch with one fsync."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        if size:
            data = path.read_bytes()
            os.ftruncate(self._file, data.rfind(b"\n") + 1)

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Writes the records and waits until they are on disk."""
        data = b"".join(json.dumps(r, separators=(",", ":")).encode() + b"\n" for r in records)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        if data:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)
