"""Where the monitor keeps its objects: a folder on one machine, or a bucket of the object store (S3 API)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.common.errors import InvalidInput, NotFound
from services.common.files import replacing
from services.data.store import Location, ObjectStoreSettings, connect, explained, safe_key


@dataclass(frozen=True, slots=True)
class Found:
    """A listed object; `size` in bytes."""

    key: str
    size: int


class Objects(Protocol):
    """Named bytes. An object is there whole or not at all; writing it again replaces it."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""

    def get(self, key: str) -> bytes:
        """The bytes of an object. Raises NotFound."""

    def list(self, prefix: str) -> Iterator[Found]:
        """The objects whose keys begin with `prefix` and a slash, by key."""

    def delete(self, key: str) -> None:
        """Remove an object; it is no error when there is none."""

    def check(self) -> None:
        """Raises Unavailable, NotFound or InvalidInput when objects cannot be written now."""


class FolderObjects:
    """Objects as files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, 0o600) as file:
            file.write(data)

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound("there is no such object", value=key) from error

    def list(self, prefix: str) -> Iterator[Found]:
        root = self._path(prefix)
        if not root.is_dir():
            return
        for path in sorted(root.rglob("*")):
            if path.name.startswith("."):
                continue
            try:
                if path.is_file():
                    yield Found(path.relative_to(self.folder).as_posix(), path.stat().st_size)
            except FileNotFoundError:
                continue

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def check(self) -> None:
        self.put("probe", b"ok")

    def _path(self, key: str) -> Path:
        return self.folder / checked(key)


class BucketObjects:
    """Objects in a bucket, below a prefix; one connection pool a call, with bounded waits."""

    def __init__(self, settings: ObjectStoreSettings, location: Location) -> None:
        self.settings = settings
        self.location = location

    def put(self, key: str, data: bytes) -> None:
        with explained(self.location), connect(self.settings) as client:
            client.put_object(self.location.bucket, self._key(key), io.BytesIO(data), len(data))

    def get(self, key: str) -> bytes:
        with explained(self.location), connect(self.settings) as client:
            answer = client.get_object(self.location.bucket, self._key(key))
            try:
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

    def list(self, prefix: str) -> Iterator[Found]:
        start = len(self._key("x")) - 1
        with explained(self.location), connect(self.settings) as client:
            place = self._key(prefix) + "/"
            found = client.list_objects(self.location.bucket, prefix=place, recursive=True)
            yield from [Found((item.object_name or "")[start:], item.size or 0) for item in found]

    def delete(self, key: str) -> None:
        with explained(self.location), connect(self.settings) as client:
            client.remove_object(self.location.bucket, self._key(key))

    def check(self) -> None:
        self.put("probe", b"ok")

    def _key(self, key: str) -> str:
        return "/".join(filter(None, (self.location.prefix, checked(key))))


def checked(key: str) -> str:
    """The key itself. Raises InvalidInput when it could lead elsewhere."""
    if not safe_key(key):
        raise InvalidInput("this is no name of an object", value=key, allowed="names joined by /")
    return key


def open_objects(place: str, settings: ObjectStoreSettings | None) -> Objects:
    """The objects at `s3://bucket/prefix` or in a folder.

    Raises:
        InvalidInput: no bucket is named, or no object store is configured.
    """
    if place.startswith("s3://"):
        if settings is None or not settings.endpoint:
            raise InvalidInput("no object store is configured", allowed="ROOKERY_S3_ENDPOINT=host:port")
        return BucketObjects(settings, Location.parse(place))
    return FolderObjects(Path(place).absolute())
