"""Images as an OCI layout on disk: a serving base and one layer with the bundle, written without a daemon.

Source: OCI image specification 1.1, image layout, manifest and configuration.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from services.bundle.reader import MAX_FILE_BYTES, Bundle, digest_entries, read_bundle
from services.common.digest import canonical_json, digest_file
from services.common.errors import IntegrityError, InvalidInput, NotFound, RookeryError, Unavailable
from services.common.locks import take
from workflows.release.base import CONFIG, INDEX, MANIFEST, PLAIN_LAYER, Layer, ServingBase, image_parts
from workflows.release.blobs import BlobStore, full_disk_named, sync_folder
from workflows.release.layer import HashingWriter, Packed, read_layer, write_layer

BUNDLE_DIGEST = "io.rookery.bundle-digest"
MODEL_VERSION = "io.rookery.model-version"
OWN_LABELS = (
    "org.opencontainers.image.title",
    "org.opencontainers.image.version",
    "io.rookery.application",
    MODEL_VERSION,
    "io.rookery.run-id",
)
BUNDLE_FILES = tuple(sorted(MAX_FILE_BYTES))

__all__ = [
    "BUNDLE_DIGEST",
    "BUNDLE_FILES",
    "MODEL_VERSION",
    "OWN_LABELS",
    "ImageStore",
    "ServingBase",
    "bundle_files",
    "has_remote_base",
]

_JSON_BYTES = 4 << 20
_REF_NAME = "org.opencontainers.image.ref.name"
_ALONE_SECONDS = 60.0


class ImageStore:
    """An OCI image layout.

    Args:
        root: its folder; made when the first image is built.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = BlobStore(root)

    def build(
        self,
        base: ServingBase,
        bundle: Path,
        labels: Mapping[str, str],
        *,
        expected_bundle_digest: str | None = None,
        tag: str | None = None,
    ) -> str:
        """Pack a bundle on a base; returns the digest of the image's manifest.

        The same base, bundle and labels give the same digest, and building again changes nothing. The
        bundle's own digest becomes a label.

        Args:
            expected_bundle_digest: refuse any other bundle.
            tag: a name for people, kept in index.json.

        Raises:
            NotFound: the folder lacks a file of a bundle.
            IntegrityError: the bundle is not the expected one.
            Unavailable: the disk is full; no part of the image stays half-written.
        """
        with self._in_use():
            return self._build(base, bundle, labels, expected_bundle_digest, tag)

    def rebase(self, digest: str, base: ServingBase) -> str:
        """The image with the same bundle layer on another base; returns its digest.

        It is the one that `build` would make of the same bundle and labels.

        Raises:
            NotFound, IntegrityError: the image's description or its bundle layer is not whole.
        """
        with self._in_use():
            model = self.manifest(digest)["layers"][-1]
            self.blobs.check(model["digest"])
            config = self.config(digest)
            given = dict(config["config"].get("Labels") or {})
            kept = {name: given[name] for name in OWN_LABELS if name in given}
            layer = Layer(
                model["mediaType"], model["digest"], int(model["size"]), config["rootfs"]["diff_ids"][-1]
            )
            return self._seal(base, layer, {**kept, **base.labels, BUNDLE_DIGEST: given[BUNDLE_DIGEST]}, None)

    def images(self) -> list[dict[str, Any]]:
        """The descriptors in index.json; empty when nothing was built yet."""
        path = self.root / "index.json"
        if not path.exists():
            return []
        try:
            return list(json.loads(path.read_bytes())["manifests"])
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"index.json of the image store cannot be read: {error}") from error

    def manifest(self, digest: str) -> dict[str, Any]:
        """An image's manifest.

        Raises:
            NotFound: there is no such image.
            IntegrityError: its bytes were altered, or are no manifest.
        """
        try:
            content = json.loads(self.blobs.read(digest, max_bytes=_JSON_BYTES))
        except NotFound as error:
            raise NotFound("the image store has no such image", value=digest) from error
        except ValueError as error:
            raise IntegrityError("this is no image manifest", value=digest) from error
        if not isinstance(content, dict) or content.get("mediaType") != MANIFEST:
            raise IntegrityError("this is no image manifest", value=digest)
        return content

    def config(self, digest: str) -> dict[str, Any]:
        """An image's configuration."""
        described = self.manifest(digest)["config"]["digest"]
        return dict(json.loads(self.blobs.read(described, max_bytes=_JSON_BYTES)))

    def labels(self, digest: str) -> dict[str, str]:
        """An image's labels."""
        return dict(self.config(digest).get("config", {}).get("Labels") or {})

    def check(self, digest: str) -> dict[str, str]:
        """Hash every blob of an image again; returns its labels.

        Layers of a base that lies in a registry are the registry's to check.

        Raises:
            NotFound: there is no such image, or a blob of it is gone.
            IntegrityError: a blob was altered.
        """
        manifest = self.manifest(digest)
        labels = self.labels(digest)
        for layer in manifest["layers"]:
            if not self.blobs.has(layer["digest"]) and has_remote_base(manifest, layer):
                continue
            if self.blobs.check(layer["digest"]) != layer["size"]:
                raise IntegrityError("a layer has another size than its manifest says", value=layer["digest"])
        return labels

    def unlist(self, digests: Collection[str]) -> None:
        """Take images out of index.json; their blobs stay."""
        if digests:
            with self._locked():
                self._write_index([entry for entry in self.images() if entry["digest"] not in digests])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store while no image is being built.

        Raises:
            Unavailable: images were being built for a minute.
        """
        with (self.root / ".in-use").open("ab") as lock:
            if not take(lock.fileno(), _ALONE_SECONDS):
                raise Unavailable(f"images were being built for {_ALONE_SECONDS:g} s", value=str(self.root))
            yield

    def unpack(self, digest: str, folder: Path) -> Path:
        """Write the files of an image to a folder, which then has app/ and bundle/; returns the folder.

        The folder appears whole or not at all. One that is there with the same files stays; with others it is
        replaced.

        Raises:
            NotFound, IntegrityError: as `check`; also for layers that cannot be unpacked safely.
            Unavailable: the disk is full; nothing half-unpacked stays.
        """
        self.check(digest)
        manifest = self.manifest(digest)
        self._write_layers(manifest["layers"], folder)
        return folder

    def bundle(self, digest: str, bundle_digest: str, cache: Path) -> Bundle:
        """The bundle in an image, kept unpacked below `cache`.

        Raises:
            NotFound: there is no such image.
            IntegrityError: image or bundle were altered; a copy in the cache that was altered is made anew.
        """
        layer = self.manifest(digest)["layers"][-1]
        folder = cache / "unpacked" / digest.removeprefix("sha256:")
        if folder.exists():
            with suppress(RookeryError):
                return read_bundle(folder / "bundle", bundle_digest)
        self.blobs.check(layer["digest"])
        self._write_layers([layer], folder)
        return read_bundle(folder / "bundle", bundle_digest)

    def _build(
        self,
        base: ServingBase,
        bundle: Path,
        labels: Mapping[str, str],
        expected_bundle_digest: str | None,
        tag: str | None,
    ) -> str:
        files = bundle_files(bundle)
        model, packed = self._layer(files)
        digest = _bundle_digest(packed)
        if expected_bundle_digest is not None and digest != expected_bundle_digest:
            raise IntegrityError(
                "the bundle is not the one promised", value=digest, allowed=expected_bundle_digest
            )
        return self._seal(base, model, {**labels, **base.labels, BUNDLE_DIGEST: digest}, tag)

    def _seal(self, base: ServingBase, model: Layer, labels: Mapping[str, str], tag: str | None) -> str:
        lower = [self._layer(base.files)[0]] if base.files else []
        config, manifest = image_parts(base, [*base.layers, *lower, model], labels)
        described = canonical_json(config)
        config_digest = self.blobs.write_bytes(described)
        manifest["config"] = {"mediaType": CONFIG, "digest": config_digest, "size": len(described)}
        content = canonical_json(manifest)
        image = self.blobs.write_bytes(content)
        self._list(image, len(content), tag)
        return image

    def _write_layers(self, layers: Iterable[Mapping[str, Any]], folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
        try:
            with full_disk_named(folder.parent):
                for layer in layers:
                    self._extract(layer, fresh)
            if not (folder.exists() and _same_files(folder, fresh)):
                _swap(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _extract(self, layer: Mapping[str, Any], folder: Path) -> None:
        with self.blobs.path(layer["digest"]).open("rb") as source:
            for member in read_layer(source, layer["mediaType"]):
                path = folder / member.name
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        for chunk in member.chunks():
                            file.write(chunk)
                except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                    raise IntegrityError("a layer names a path twice", value=member.name) from error

    def _layer(self, files: Mapping[str, Path]) -> tuple[Layer, dict[str, Packed]]:
        def fill(writer: HashingWriter) -> dict[str, Packed]:
            return write_layer(writer, files)

        digest, size, packed = self.blobs.write(fill)
        return Layer(PLAIN_LAYER, digest, size, diff_id=digest), packed

    def _list(self, digest: str, size: int, tag: str | None) -> None:
        with full_disk_named(self.root), self._locked():
            _replace(self.root / "oci-layout", canonical_json({"imageLayoutVersion": "1.0.0"}))
            listed = [_untagged(entry, tag) for entry in self.images() if entry["digest"] != digest]
            entry: dict[str, Any] = {"mediaType": MANIFEST, "digest": digest, "size": size}
            if tag is not None:
                entry["annotations"] = {_REF_NAME: tag}
            self._write_index([*listed, entry])

    def _write_index(self, listed: Iterable[Mapping[str, Any]]) -> None:
        ordered = sorted(listed, key=lambda item: str(item["digest"]))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": ordered}
        _replace(self.root / "index.json", canonical_json(index))

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """While it is held, no blob is removed; any number of builds may hold it."""
        with full_disk_named(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".in-use").open("ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.root / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def bundle_files(bundle: Path) -> dict[str, Path]:
    """Path in the image → file of a bundle.

    Raises:
        NotFound: one is missing.
        InvalidInput: one is a link or no file.
    """
    files = {f"bundle/{name}": bundle / name for name in BUNDLE_FILES}
    for path in files.values():
        if not path.exists():
            raise NotFound("the bundle lacks a file", value=path.name, allowed=", ".join(BUNDLE_FILES))
        if path.is_symlink() or not path.is_file():
            raise InvalidInput("a bundle has plain files only", value=path.name)
    return files


def has_remote_base(manifest: Mapping[str, Any], layer: Mapping[str, Any]) -> bool:
    """Whether a layer belongs to a base in a registry: all but the last, when the manifest names one."""
    named = "org.opencontainers.image.base.name" in manifest.get("annotations", {})
    return named and layer["digest"] != manifest["layers"][-1]["digest"]


def _bundle_digest(packed: Mapping[str, Packed]) -> str:
    return digest_entries(
        [
            {"path": name.removeprefix("bundle/"), "size": file.size, "sha256": file.digest}
            for name, file in packed.items()
        ]
    )


def _untagged(entry: Mapping[str, Any], tag: str | None) -> dict[str, Any]:
    if tag is not None and entry.get("annotations", {}).get(_REF_NAME) == tag:
        return {key: value for key, value in entry.items() if key != "annotations"}
    return dict(entry)


def _replace(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}


def _same_files(one: Path, other: Path) -> bool:
    ours, theirs = _files(one), _files(other)
    if ours.keys() != theirs.keys() or any(path.is_symlink() for path in ours.values()):
        return False
    return all(digest_file(ours[name]) == digest_file(theirs[name]) for name in ours)


def _swap(fresh: Path, folder: Path) -> None:
    if folder.exists():
        old = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.old"
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        return
    try:
        fresh.rename(folder)
    except OSError:
        # Somebody else who unpacks the same image was faster.
        if not (folder.is_dir() and _same_files(folder, fresh)):
            raise
