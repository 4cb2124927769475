"""Segments of the prediction log on the local disk: bounded, whole lines only, and safe from a killed process.

A segment is a text file: a line that says who writes, then one JSON line for each record. While it is written it is
called `<name>.part` and locked; closed, it is `<name>.jsonl` and somebody else may take it away.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import orjson

from services.common.errors import InvalidInput

PART, CLOSED, INPUT, REFERENCE = ".part", ".jsonl", ".input", ".reference"
_NEW = ".new"


class Spool:
    """A folder with segments of one or several processes, at most `most_bytes` together.

    Used by one thread. What finds no place is counted in `dropped` and forgotten.

    Raises:
        InvalidInput: the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        head: dict[str, str],
        *,
        most_bytes: int,
        segment_bytes: int,
        segment_seconds: float,
    ) -> None:
        self.folder = folder
        self.dropped = 0
        self.held = 0
        self._head = head
        self._most = most_bytes
        self._segment_bytes, self._segment_seconds = segment_bytes, segment_seconds
        self._file: int | None = None
        self._path = folder
        self._size, self._opened = 0, 0.0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._measure()
            self.adopt()
        except OSError as error:
            raise InvalidInput(
                f"the folder of the prediction log cannot be used: {error.strerror}", value=str(folder)
            ) from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Append records to the open segment, all or none; closes it when it is large or old enough."""
        data = b"".join(lines)
        if lines and not self._take(data):
            self.dropped += len(lines)
        if self._file is not None and (
            self._size >= self._segment_bytes or time.monotonic() - self._opened >= self._segment_seconds
        ):
            self.close()

    def put(self, name: str, data: bytes) -> bool:
        """Keep another file in the spool, if there is room; a file of this name is not written again.

        Inputs get half of the room: while nobody takes the spool away, a few hundred of them would leave none to
        records.
        """
        path = self.folder / name
        if path.exists():
            return True
        if self.held + len(data) > (self._most // 2 if name.endswith(INPUT) else self._most):
            return False
        draft = self.folder / f".{name}.{os.getpid()}"
        try:
            draft.write_bytes(data)
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            return False
        self.held += len(data)
        return True

    def close(self) -> None:
        """Close the open segment, so that it may be taken away."""
        if self._file is None:
            return
        self._path.rename(self._path.with_suffix(CLOSED))
        os.close(self._file)
        self._file = None

    def adopt(self) -> None:
        """Close the segments of processes that died."""
        for path in self.folder.glob(f"*{PART}"):
            if self._file is not None and path == self._path:
                continue
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.rename(path.with_suffix(CLOSED))
            except (BlockingIOError, FileNotFoundError):
                continue
            finally:
                os.close(descriptor)

    def _take(self, data: bytes) -> bool:
        try:
            self._measure()
        except OSError:
            return False
        return self.held + len(data) <= self._most and self._append(data)

    def _append(self, data: bytes) -> bool:
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            if os.write(self._file, data) != len(data):
                raise OSError("no space")
        except OSError:
            if self._file is not None:
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            return False
        self._size += len(data)
        self.held += len(data)
        return True

    def _open(self) -> None:
        opened = time.time_ns() // 1_000_000
        name = f"{opened:013d}-{uuid.uuid4().hex[:12]}"
        self._path = self.folder / (name + PART)
        draft = self._path.with_suffix(_NEW)
        self._file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(self._path)
        head = orjson.dumps(
            self._head | {"schema": "rookery.predictions/1", "segment": name, "opened": opened}
        )
        self._size, self._opened = 0, time.monotonic()
        try:
            self._size = os.write(self._file, head + b"\n")
            if self._size != len(head) + 1:
                raise OSError("no space")
        except OSError:
            os.close(self._file)
            self._file = None
            self._path.unlink()
            raise
        self.held += self._size

    def _measure(self) -> None:
        """What lies in the folder now; others take segments away."""
        total = 0
        with os.scandir(self.folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:
                    continue
        self.held = total
