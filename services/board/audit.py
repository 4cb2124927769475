"""What was done from the board, by whom: lines that are only ever added, each with the digest of the one before.

A line that was changed or taken out later breaks the chain, and the page says where.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from services.common.digest import canonical_json, digest_bytes
from services.common.errors import Unavailable

_START = "sha256:" + "0" * 64
_MOST_VALUE = 2000
_END_BYTES = 64 << 10
_LEAST_BYTES = 1 << 20


@dataclass(frozen=True)
class Action:
    """One thing that somebody asked for.

    Attributes:
        at: UTC, ISO 8601.
        outcome: done, refused or failed.
        result: a workflow's name, or why it was not done.
        before: digest of the line before.
    """

    at: str
    who: str
    address: str
    action: str
    parameters: dict[str, str]
    outcome: str
    result: str
    before: str


@dataclass(frozen=True)
class Past:
    """The actions, newest first; `broken` is the number of the line at which the chain does not hold, if any."""

    actions: list[Action]
    broken: int | None


class Audit:
    """The log in a file that is readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def add(
        self,
        who: str,
        address: str,
        action: str,
        parameters: Mapping[str, str],
        outcome: str,
        result: str,
    ) -> Action:
        """Add a line; it is on disk when this returns.

        Raises:
            OSError: the disk is full or not writable.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                entry = Action(
                    datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    who,
                    address,
                    action,
                    {key: str(value)[:_MOST_VALUE] for key, value in parameters.items()},
                    outcome,
                    result[:_MOST_VALUE],
                    _last(file),
                )
                file.write(canonical_json(asdict(entry)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        return entry

    def check(self) -> None:
        """Pass when a line could be added now.

        Raises:
            Unavailable: the file cannot be written, or the disk is full.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize < _LEAST_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise Unavailable(
                f"the log of actions cannot be written, so nothing is done: {error.strerror}",
                value=str(self.path),
            ) from error

    def read(self, limit: int = 200) -> Past:
        """The newest actions, and whether all lines are as they were written."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return Past([], None)
        found: list[Action] = []
        before, broken = _START, None
        for number, line in enumerate(lines, start=1):
            entry = _parse(line)
            if broken is None and (entry is None or entry.before != before):
                broken = number
            if entry is not None:
                found.append(entry)
            before = digest_bytes(line)
        return Past(found[::-1][:limit], broken)


def _last(file: BinaryIO) -> str:
    """Digest of the last line; only the end of the file is read, however long it has become."""
    size, block = file.seek(0, os.SEEK_END), _END_BYTES
    while True:
        begin = max(0, size - block)
        file.seek(begin)
        lines = file.read().splitlines()
        if begin == 0 or len(lines) > 1:
            return digest_bytes(lines[-1]) if lines else _START
        block *= 4


def _parse(line: bytes) -> Action | None:
    try:
        content: dict[str, Any] = json.loads(line)
        return Action(**content)
    except (ValueError, TypeError):
        return None
