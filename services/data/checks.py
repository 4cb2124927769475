"""Can a file be learned from? Answers are kept by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from services.common.errors import RookeryError
from services.data.dataset import AUDIO_TYPES, IMAGE_TYPES, INACCESSIBLE, Kind
from services.data.lock import locked
from services.data.scan import Found
from services.media.audio import decode_audio
from services.media.image import decode_image
from services.media.limits import MediaLimits
from services.media.sniff import sniff

_VERSION = 1
_BATCH = 1000
_WORKERS = 8
_SILENCE = 1e-4  # of full scale: -80 dBFS


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What was found in one file. `fault` is empty, or why it cannot be used, with a sentence in `detail`."""

    sha256: str = ""
    media_type: str = ""
    seconds: float = 0.0
    sample_rate: int = 0
    height: int = 0
    width: int = 0
    channels: int = 0
    fault: str = ""
    detail: str = ""

    @property
    def kind(self) -> Kind:
        return "image" if self.media_type in IMAGE_TYPES else "audio"


def check_bytes(data: bytes, limits: MediaLimits) -> FileCheck:
    """Decode as training will, and look for empty, silent and constant content."""
    if not data:
        return FileCheck(fault="empty", detail="the file has no bytes")
    digest = hashlib.sha256(data).hexdigest()
    try:
        media_type = sniff(data)
        if media_type in AUDIO_TYPES:
            return _check_sound(data, digest, media_type, limits)
        if media_type in IMAGE_TYPES:
            return _check_picture(data, digest, media_type, limits)
    except RookeryError as error:
        return FileCheck(sha256=digest, fault="unreadable", detail=str(error))
    except Exception as error:  # a decoder's own failure on one file must not end the scan of a million
        return FileCheck(sha256=digest, fault="unreadable", detail=f"{type(error).__name__}: {error}"[:300])
    return FileCheck(sha256=digest, fault="unreadable", detail=f"{media_type} is no format of datasets")


def _check_sound(data: bytes, digest: str, media_type: str, limits: MediaLimits) -> FileCheck:
    sound = decode_audio(data, limits=limits)
    fault, detail = "", ""
    lowest, highest = float(np.min(sound.samples)), float(np.max(sound.samples))
    if max(-lowest, highest) < _SILENCE:
        fault, detail = "silent", "no sample reaches -80 dBFS"
    elif highest - lowest < _SILENCE:
        fault, detail = "constant", "all samples are equal"
    return FileCheck(
        sha256=digest,
        media_type=media_type,
        seconds=round(len(sound.samples) / sound.sample_rate, 3),
        sample_rate=sound.sample_rate,
        fault=fault,
        detail=detail,
    )


def _check_picture(data: bytes, digest: str, media_type: str, limits: MediaLimits) -> FileCheck:
    pixels = decode_image(data, limits)
    constant = bool(np.all(pixels == pixels[:1, :1]))
    return FileCheck(
        sha256=digest,
        media_type=media_type,
        height=pixels.shape[0],
        width=pixels.shape[1],
        channels=1 if pixels.ndim == 2 else pixels.shape[2],
        fault="constant" if constant else "",
        detail="all pixels are equal" if constant else "",
    )


def check_files(root: Path, files: Iterable[Found], cache: Path) -> dict[str, FileCheck]:
    """The check of each file, by its relative path; at most eight files are in memory at once.

    Whoever else checks the same root meanwhile waits, and finds the answers.

    Raises:
        Unavailable: another process has been at it for an hour.
    """
    listed = list(files)
    book = _Book(root, cache)
    if book.wasteful or any(book.get(found) is None for found in listed):
        with locked(book.path.with_suffix(".lock")):
            book = _Book(root, cache)
            _fill(book, [found for found in listed if book.get(found) is None])
            if book.wasteful:
                book.rewrite()
    return {found.id: known for found in listed if (known := book.get(found)) is not None}


def _fill(book: _Book, waiting: list[Found]) -> None:
    limits = MediaLimits()
    with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1), thread_name_prefix="check") as pool:
        for batch in _batches(iter(waiting)):
            for found, check in zip(batch, pool.map(lambda f: _check_file(f, limits), batch), strict=True):
                book.put(found, check)
            book.save()


def _check_file(found: Found, limits: MediaLimits) -> FileCheck:
    if found.size > limits.max_bytes:
        return FileCheck(fault="too-large", detail=f"{found.size} bytes, allowed {limits.max_bytes}")
    try:
        data = found.path.read_bytes()
    except OSError as error:
        return FileCheck(fault=INACCESSIBLE, detail=error.strerror or "the file cannot be read")
    return check_bytes(data, limits)


def _batches(files: Iterator[Found]) -> Iterator[list[Found]]:
    while batch := list(islice(files, _BATCH)):
        yield batch


class _Book:
    """The checks of one root: a journal, one line for each check, the last of a file counts.

    A line that a crash or a second writer spoiled is left out, and its file checked again.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
        self.path = cache / "checks" / f"{name}-{_VERSION}.jsonl"
        self._known: dict[str, tuple[int, int, FileCheck]] = {}
        self._new: list[str] = []
        lines = (
            self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            if self.path.is_file()
            else []
        )
        for line in lines:
            try:
                id_, size, changed, *check = json.loads(line)
                self._known[id_] = (size, changed, FileCheck(*check))
            except (ValueError, TypeError):
                continue
        self.wasteful = len(lines) > 2 * len(self._known) + _BATCH

    def get(self, found: Found) -> FileCheck | None:
        size, changed, check = self._known.get(found.id, (-1, -1, None))
        return check if (size, changed) == (found.size, found.changed_ns) else None

    def put(self, found: Found, check: FileCheck) -> None:
        self._known[found.id] = (found.size, found.changed_ns, check)
        if check.fault == INACCESSIBLE:
            return  # what the disk refuses now, it may give the next time
        self._new.append(_line(found.id, found.size, found.changed_ns, check))

    def save(self) -> None:
        """Append what was put since the last time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + "".join(self._new))
        self._new = []

    def rewrite(self) -> None:
        """Leave out what was said more than once."""
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.path.parent, prefix=".checks-", delete=False
        ) as file:
            file.writelines(_line(id_, *known) for id_, known in self._known.items())
        Path(file.name).replace(self.path)


def _line(id_: str, size: int, changed_ns: int, check: FileCheck) -> str:
    return json.dumps([id_, size, changed_ns, *astuple(check)]) + "\n"
