"""Bundles written to a folder: all of it or nothing, and the same content always as the same bytes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from services.bundle.golden import Golden
from services.bundle.manifest import BundleManifest
from services.bundle.reader import bundle_digest, check_parts, digest_contents
from services.common.digest import canonical_json
from services.common.errors import Conflict, RookeryError


def write_bundle(folder: Path, manifest: BundleManifest, model: bytes, novelty: bytes, golden: Golden) -> str:
    """Writes the four files beside `folder`, then renames. Writing the same bundle again changes nothing.

    Returns:
        The bundle digest.

    Raises:
        InvalidInput, TooLarge: a part is not allowed or does not fit; nothing is written.
        Conflict: the folder holds something else.
        OSError: the disk is full or not writable; nothing of it is left.
    """
    check_parts(manifest, model, novelty, golden)
    contents = {
        "model.onnx": model,
        "novelty.onnx": novelty,
        "bundle.json": canonical_json(manifest.model_dump(mode="json", by_alias=True)),
        "golden.npz": golden.to_bytes(),
    }
    digest = digest_contents(contents)
    if folder.exists():
        return _same(folder, digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, data in contents.items():
            _write(temporary / name, data)
        temporary.chmod(0o755)
        _sync(temporary)
        temporary.rename(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if folder.exists():
            return _same(folder, digest)
        raise
    _sync(folder.parent)
    return digest


def _same(folder: Path, digest: str) -> str:
    try:
        found = bundle_digest(folder)
    except RookeryError as error:
        raise Conflict("the folder exists and holds no bundle", value=str(folder)) from error
    if found != digest:
        raise Conflict("the folder holds another bundle", value=found, allowed=digest)
    return digest


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
