"""A prefix of the object store as a folder on local disk: only what changed is fetched, and interrupted fetches go on.

Below `<cache>/objects/<id>/`: `files/` has the objects, `parts/` unfinished ones, `state.jsonl` etag and size of
each whole one, `lock` keeps a second process waiting. Prefixes unused for long make room for others.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from services.common.errors import IntegrityError, TooLarge
from services.data.dataset import Problem
from services.data.lock import locked
from services.data.store import (
    Location,
    ObjectStoreSettings,
    StoredObject,
    connect,
    explained,
    list_objects,
    safe_key,
)
from services.media.limits import MediaLimits

if TYPE_CHECKING:
    from minio import Minio

_WORKERS = 8
_BATCH = 256
_CHUNK = 1 << 18
_IN_USE_SECONDS = 6 * 3600


def mirror(
    location: Location, settings: ObjectStoreSettings | None, cache: Path
) -> tuple[Path, list[Problem]]:
    """The folder with the objects below a prefix, and the objects that were not fetched.

    Raises:
        InvalidInput, NotFound, Unavailable: see `services.data.store`.
        TooLarge: the objects do not fit into the cache.
    """
    with connect(settings) as client:
        assert settings is not None
        return _mirror(location, settings, cache, client)


def _mirror(
    location: Location, settings: ObjectStoreSettings, cache: Path, client: Minio
) -> tuple[Path, list[Problem]]:
    name = hashlib.sha256(f"{settings.endpoint}\n{location.bucket}\n{location.prefix}".encode()).hexdigest()[
        :24
    ]
    folder = cache / "objects" / name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        problems: list[Problem] = []
        wanted = _wanted(list_objects(client, location), location, problems)
        _make_room(folder, sum(stored.size for stored in wanted.values()), settings.cache_bytes)
        copy = _Copy(folder, client, location)
        copy.remove_others(wanted)
        copy.fetch_all(wanted)
    return folder / "files", problems


def _wanted(
    listed: Iterator[StoredObject], location: Location, problems: list[Problem]
) -> dict[str, StoredObject]:
    """Objects by their path under the prefix, without those that cannot be files below a folder."""
    most = MediaLimits().max_bytes
    skip = len(location.prefix) + 1 if location.prefix else 0
    wanted: dict[str, StoredObject] = {}
    for stored in listed:
        id_ = stored.key[skip:]
        if not safe_key(id_):
            shown = id_.encode("unicode_escape").decode()[:300]
            problems.append(Problem(shown, "unsafe-key", "the key is no path below a folder; not fetched"))
        elif stored.size > most:
            problems.append(Problem(id_, "too-large", f"{stored.size} bytes, allowed {most}; not fetched"))
        else:
            wanted[id_] = stored
    for id_ in [id_ for id_ in wanted if any(parent in wanted for parent in _parents(id_))]:
        problems.append(Problem(id_, "unsafe-key", "the key goes through another object; not fetched"))
        del wanted[id_]
    return wanted


def _parents(id_: str) -> Iterator[str]:
    parts = id_.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


class _Copy:
    """The local copy of one prefix."""

    def __init__(self, folder: Path, client: Minio, location: Location) -> None:
        self._files, self._parts, self._state_path = (
            folder / "files",
            folder / "parts",
            folder / "state.jsonl",
        )
        self._client, self._location = client, location
        self._files.mkdir(exist_ok=True)
        self._parts.mkdir(exist_ok=True)
        self._state: dict[str, tuple[str, int]] = dict(_recorded(self._state_path))

    def remove_others(self, wanted: dict[str, StoredObject]) -> None:
        """Delete what is no longer in the store, so that the folder is the prefix and nothing else."""
        for path in sorted(self._files.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.relative_to(self._files).as_posix() not in wanted:
                path.unlink()
        self._state = {id_: known for id_, known in self._state.items() if id_ in wanted}

    def fetch_all(self, wanted: dict[str, StoredObject]) -> None:
        """Fetch what is missing or changed, eight at a time, and record each object when it is whole."""
        self._save()
        missing = [(id_, stored) for id_, stored in wanted.items() if not self._is_whole(id_, stored)]
        with (
            self._state_path.open("a", encoding="utf-8") as journal,
            ThreadPoolExecutor(_WORKERS, thread_name_prefix="fetch") as pool,
        ):
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                for (id_, stored), _ in zip(batch, pool.map(self._fetch, batch), strict=True):
                    journal.write(json.dumps([id_, stored.etag, stored.size]) + "\n")
                    journal.flush()
        shutil.rmtree(self._parts, ignore_errors=True)

    def _is_whole(self, id_: str, stored: StoredObject) -> bool:
        path = self._files / id_
        return (
            self._state.get(id_) == (stored.etag, stored.size)
            and path.is_file()
            and _size(path) == stored.size
        )

    def _fetch(self, one: tuple[str, StoredObject]) -> None:
        id_, stored = one
        target = self._files / id_
        part = self._parts / hashlib.sha256(f"{id_}\n{stored.etag}\n{stored.size}".encode()).hexdigest()
        resumed = part.is_file()
        self._append(part, stored)
        if resumed and not _has_etag(part, stored.etag):
            part.unlink()
            self._append(part, stored)
        if _size(part) != stored.size:
            raise IntegrityError("an object is not as long as it was listed", value=stored.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    def _append(self, part: Path, stored: StoredObject) -> None:
        """Fetch from where the part ends; a store whose object has changed since the listing refuses."""
        have = _size(part) if part.is_file() else 0
        if have >= stored.size:
            part.touch()
            return
        only_this: dict[str, str | list[str] | tuple[str]] = {}
        if stored.etag:
            only_this["If-Match"] = f'"{stored.etag}"'
        with explained(self._location):
            answer = self._client.get_object(
                self._location.bucket,
                stored.key,
                offset=have,
                length=stored.size - have,
                request_headers=only_this,
            )
        try:
            with part.open("ab") as file:
                while have < stored.size and (chunk := _read(answer, self._location)):
                    file.write(chunk[: stored.size - have])
                    have += len(chunk)
        finally:
            answer.close()
            answer.release_conn()

    def _save(self) -> None:
        work = self._state_path.with_suffix(".new")
        lines = [json.dumps([id_, etag, size]) + "\n" for id_, (etag, size) in self._state.items()]
        work.write_text("".join(lines), encoding="utf-8")
        work.replace(self._state_path)


def _recorded(path: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    """The objects of a journal; a line cut off by a crash is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            id_, etag, size = json.loads(line)
        except ValueError:
            continue
        yield id_, (etag, size)


def _read(answer: object, location: Location) -> bytes:
    with explained(location):
        chunk: bytes = answer.read(_CHUNK)  # type: ignore[attr-defined]
    return chunk


def _size(path: Path) -> int:
    return path.stat().st_size


def _has_etag(path: Path, etag: str) -> bool:
    """Whether the bytes have the MD5 that the etag of an object in one piece is; other etags say nothing."""
    if len(etag) != 32:
        return True
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == etag


def _make_room(folder: Path, needed: int, most: int) -> None:
    """Drop copies of other prefixes, the longest unused first, until `needed` bytes fit beside the rest."""
    if needed > most:
        raise TooLarge(
            "the objects do not fit into the local cache",
            value=f"{needed} bytes",
            allowed=f"{most} (ROOKERY_S3_CACHE_BYTES)",
        )
    others = [
        other for other in folder.parent.iterdir() if other != folder and (other / "state.jsonl").is_file()
    ]
    others.sort(key=lambda other: (other / "state.jsonl").stat().st_mtime)
    sizes = {other: sum(_size(path) for path in other.rglob("*") if path.is_file()) for other in others}
    for other in others:
        if needed + sum(sizes.values()) <= most:
            return
        if time.time() - (other / "state.jsonl").stat().st_mtime > _IN_USE_SECONDS:
            shutil.rmtree(other, ignore_errors=True)
            del sizes[other]
    if needed + sum(sizes.values()) > most:
        raise TooLarge(
            "the local cache is full of objects used in the last six hours",
            value=f"{needed} bytes more",
            allowed=f"{most} (ROOKERY_S3_CACHE_BYTES)",
        )
