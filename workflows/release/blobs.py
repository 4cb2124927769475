"""Files named by their own digest, written whole or not at all.

Source: OCI image specification 1.1, image layout (`blobs/sha256/<hex>`).
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from services.common.digest import digest_file, is_digest
from services.common.errors import IntegrityError, InvalidInput, NotFound, Unavailable
from workflows.release.layer import HashingWriter

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
T = TypeVar("T")


class BlobStore:
    """Blobs below one folder.

    Args:
        root: the folder of an image layout; made when the first blob is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where a blob lies or would lie.

        Raises:
            InvalidInput: this is no digest.
        """
        if not is_digest(digest):
            raise InvalidInput("this is no digest", value=digest, allowed="sha256: and 64 hex digits")
        return self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether there is such a blob; its bytes are not looked at."""
        return self.path(digest).is_file()

    def write(self, fill: Callable[[HashingWriter], T]) -> tuple[str, int, T]:
        """Store what `fill` writes; returns digest, size and what `fill` returned.

        Raises:
            Unavailable: the disk is full; nothing of the blob stays.
        """
        with full_disk_named(self.root), self._temporary() as (path, file):
            writer = HashingWriter(file)
            result = fill(writer)
            file.flush()
            os.fsync(file.fileno())
            target = self.path(writer.digest)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            sync_folder(target.parent)
        return writer.digest, writer.size, result

    def write_bytes(self, data: bytes) -> str:
        """Store bytes; returns their digest."""
        return self.write(lambda writer: writer.write(data))[0]

    def read(self, digest: str, *, max_bytes: int) -> bytes:
        """A blob's bytes, checked against its digest.

        Raises:
            NotFound: there is none.
            IntegrityError: it is not what its name says, or larger than `max_bytes`.
        """
        self.check(digest, max_bytes=max_bytes)
        return self.path(digest).read_bytes()

    def check(self, digest: str, *, max_bytes: int | None = None) -> int:
        """Hash a blob again; returns its size in bytes.

        Raises:
            NotFound: there is none.
            IntegrityError: it was altered, or is larger than `max_bytes`.
        """
        path = self.path(digest)
        try:
            size = path.stat().st_size
            if max_bytes is not None and size > max_bytes:
                raise IntegrityError(
                    "a blob is larger than it may be", value=size, allowed=f"{max_bytes} bytes"
                )
            found = digest_file(path)
        except FileNotFoundError as error:
            raise NotFound("the image store has no such blob", value=digest) from error
        if found != digest:
            raise IntegrityError("a blob of the image store was altered", value=found, allowed=digest)
        return size

    @contextmanager
    def _temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        path, raw = _held(folder)
        with raw:
            try:
                with open(raw.fileno(), "wb", buffering=1 << 20, closefd=False) as file:
                    yield path, file
            finally:
                path.unlink(missing_ok=True)


@contextmanager
def full_disk_named(place: Path) -> Iterator[None]:
    """Turn the error of a full disk into one that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(
                f"there is no space left at {place}; nothing was kept: {error.strerror}"
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _held(folder: Path) -> tuple[Path, io.FileIO]:
    """A new file, locked as long as its writer lives: the next one knows so what was left by a killed process."""
    while True:
        # Never a name twice: who swept the first one may still be about to remove what has its name.
        path = folder / uuid.uuid4().hex
        raw = path.open("wb", buffering=0)
        fcntl.flock(raw, fcntl.LOCK_EX)
        if os.fstat(raw.fileno()).st_nlink:
            return path, raw
        raw.close()


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
