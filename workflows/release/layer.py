"""One layer of an image: a tar archive that depends on nothing but names and bytes.

Source: OCI image specification 1.1, image layer filesystem changeset; POSIX ustar.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Protocol, cast

from services.common.errors import IntegrityError

TAR = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_COPY = 1 << 20
_MAX_FILES = 20_000
_MAX_BYTES = 8 << 30


class Writes(Protocol):
    """The part of a file that a layer is written to."""

    def write(self, data: bytes, /) -> int: ...


class HashingWriter:
    """Passes bytes on and counts and hashes them."""

    def __init__(self, target: Writes) -> None:
        self._target = target
        self._sha = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""
        self._target.write(data)
        self._sha.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    @property
    def digest(self) -> str:
        return "sha256:" + self._sha.hexdigest()


class _HashingReader:
    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.sha = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.sha.update(data)
        self.size += len(data)
        return data


@dataclass(frozen=True)
class Packed:
    """A file as it went into a layer, hashed in the same pass."""

    size: int
    digest: str


def write_layer(target: Writes, files: Mapping[str, Path]) -> dict[str, Packed]:
    """Write a tar of `files` (path in the image → file on disk) with their parent folders.

    Owner, time and mode are fixed and entries sorted, so equal files give equal bytes.

    Raises:
        IntegrityError: a file changed its size while it was read.
    """
    packed = {}
    archive = tarfile.TarFile(
        fileobj=cast(IO[bytes], target), mode="w", format=tarfile.USTAR_FORMAT, copybufsize=_COPY
    )
    for folder in _parents(files):
        archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o755, 0))
    for name, path in sorted(files.items()):
        with path.open("rb") as file:
            size = path.stat().st_size
            reader = _HashingReader(cast(BinaryIO, file))
            try:
                archive.addfile(_entry(name, tarfile.REGTYPE, 0o644, size), cast(IO[bytes], reader))
            except OSError as error:
                if error.errno is None:
                    raise IntegrityError(f"{path.name} changed while it was packed") from error
                raise
            if reader.size != size or file.read(1):
                raise IntegrityError(f"{path.name} changed while it was packed")
        packed[name] = Packed(size, "sha256:" + reader.sha.hexdigest())
    # Two empty blocks end an archive; TarFile.close would fill up to 10 KiB as for a tape, a tenth of a small bundle.
    target.write(bytes(2 * tarfile.BLOCKSIZE))
    return packed


@dataclass(frozen=True)
class Member:
    """One regular file of a layer; `chunks` gives its bytes, until the next member is asked for."""

    name: str
    size: int
    chunks: Callable[[], Iterator[bytes]]


def read_layer(source: BinaryIO, media_type: str) -> Iterator[Member]:
    """The regular files of a layer.

    Raises:
        IntegrityError: a compression that is not known, a path that leaves the image, anything but files and
            folders, or more than 20,000 files or 8 GiB.
    """
    with _decompressed(source, media_type) as plain:
        total = 0
        with _broken_named():
            archive = tarfile.TarFile(fileobj=plain, mode="r") if media_type == TAR else _stream(plain)
            for count, info in enumerate(archive):
                name = _safe_name(info.name)
                total += info.size
                if count >= _MAX_FILES or total > _MAX_BYTES:
                    raise IntegrityError("a layer has too many files or bytes", allowed="20,000 files, 8 GiB")
                if info.isdir():
                    continue
                if not info.isreg() or PurePosixPath(name).name.startswith(".wh."):
                    raise IntegrityError("a layer has something else than files and folders", value=info.name)
                yield Member(name, info.size, _reading(archive, info))


def _stream(plain: Any) -> tarfile.TarFile:
    return tarfile.open(fileobj=plain, mode="r|", bufsize=_COPY)


def _reading(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        with _broken_named():
            file = archive.extractfile(info)
            assert file is not None
            while chunk := file.read(_COPY):
                yield chunk

    return chunks


@contextmanager
def _broken_named() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IntegrityError(f"a layer is no archive: {error}") from error


@contextmanager
def _decompressed(source: BinaryIO, media_type: str) -> Iterator[Any]:
    if media_type == TAR:
        yield source
    elif media_type in (TAR_GZIP, DOCKER_GZIP):
        with gzip.GzipFile(fileobj=source, mode="rb") as plain:
            yield plain
    else:
        raise IntegrityError(
            "a layer of this kind cannot be read", value=media_type, allowed=f"{TAR}, {TAR_GZIP}"
        )


def _safe_name(name: str) -> str:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not name.isprintable():
        raise IntegrityError("a layer has a path that leaves the image", value=name)
    return pure.as_posix()


def _parents(names: Iterable[str]) -> list[str]:
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return sorted(folders - {"."})


def _entry(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, size, 0
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
