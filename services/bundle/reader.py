"""Bundles read from a folder, with every file bounded and checked before it is used."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from services.bundle.golden import Golden
from services.bundle.manifest import BundleManifest
from services.bundle.onnx_file import check_onnx
from services.common.digest import canonical_json, digest_bytes, digest_file
from services.common.errors import IntegrityError, InvalidInput, NotFound, TooLarge

MIB = 1 << 20
MAX_FILE_BYTES = {
    "model.onnx": 512 * MIB,
    "novelty.onnx": 64 * MIB,
    "bundle.json": 8 * MIB,
    "golden.npz": 64 * MIB,
}


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory; `digest` is of exactly these bytes."""

    folder: Path
    manifest: BundleManifest
    digest: str
    model: bytes
    novelty: bytes
    golden: Golden

    @property
    def model_digest(self) -> str:
        """Of model.onnx."""
        return digest_bytes(self.model)

    @property
    def novelty_digest(self) -> str:
        """Of novelty.onnx."""
        return digest_bytes(self.novelty)


def read_bundle(folder: Path, expected_digest: str | None = None) -> Bundle:
    """Reads the four files once, checks them, and computes the digest from what was read.

    Raises:
        NotFound: no such folder, or a file is missing.
        IntegrityError: the digest is not `expected_digest`.
        InvalidInput, TooLarge: a file that is not what it must be. No model is opened by a runtime.
    """
    contents = {name: _read(folder / name, bound) for name, bound in MAX_FILE_BYTES.items()}
    digest = digest_contents(contents)
    if expected_digest is not None and digest != expected_digest:
        raise IntegrityError(
            f"the bundle in {folder} was altered: its digest is another",
            value=digest,
            allowed=expected_digest,
        )
    unknown = sorted({path.name for path in folder.iterdir()} - set(MAX_FILE_BYTES))
    if unknown:
        raise InvalidInput(
            "the bundle has files that do not belong to it",
            value=unknown[:5],
            allowed=", ".join(MAX_FILE_BYTES),
        )
    manifest = parse_manifest(contents["bundle.json"])
    golden = Golden.from_bytes(contents["golden.npz"])
    check_parts(manifest, contents["model.onnx"], contents["novelty.onnx"], golden)
    return Bundle(folder, manifest, digest, contents["model.onnx"], contents["novelty.onnx"], golden)


def bundle_digest(folder: Path) -> str:
    """The digest of a bundle's files on disk, without opening them.

    Raises:
        NotFound: a file is missing.
    """
    entries = []
    for name, bound in MAX_FILE_BYTES.items():
        path = folder / name
        entries.append({"path": name, "size": _size(path, bound), "sha256": digest_file(path)})
    return digest_entries(entries)


def digest_contents(contents: dict[str, bytes]) -> str:
    """The bundle digest of files in memory; their order makes no difference."""
    return digest_entries(
        [{"path": n, "size": len(data), "sha256": digest_bytes(data)} for n, data in contents.items()]
    )


def digest_entries(entries: list[dict[str, object]]) -> str:
    """SHA-256 over the canonical JSON of path, size and digest of each file, sorted by path."""
    return digest_bytes(canonical_json(sorted(entries, key=lambda entry: str(entry["path"]))))


def parse_manifest(data: bytes) -> BundleManifest:
    """The content of bundle.json. Raises InvalidInput that names the field."""
    try:
        return BundleManifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise InvalidInput(f"bundle.json is not valid at {place}: {first['msg']}") from error


def check_parts(manifest: BundleManifest, model: bytes, novelty: bytes, golden: Golden) -> None:
    """Raises InvalidInput or TooLarge where a part is not allowed or does not fit the others."""
    for name, data, output in (("model.onnx", model, "logits"), ("novelty.onnx", novelty, "score")):
        summary = check_onnx(data, max_bytes=MAX_FILE_BYTES[name])
        if summary.inputs != ["input"] or summary.outputs != [output]:
            raise InvalidInput(
                f"{name} has other inputs or outputs",
                value=(summary.inputs, summary.outputs),
                allowed=f"input, {output}",
            )
    if golden.probabilities.shape[1] != len(manifest.labels):
        raise InvalidInput(
            "the golden answers do not fit the labels",
            value=golden.probabilities.shape[1],
            allowed=f"{len(manifest.labels)} classes",
        )
    if len(set(manifest.labels)) != len(manifest.labels):
        raise InvalidInput("a label occurs twice in bundle.json")


def _size(path: Path, bound: int) -> int:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound("the bundle has no such file", value=str(path)) from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput("a bundle consists of plain files", value=str(path))
    if status.st_size > bound:
        raise TooLarge(f"{path.name} is too large", value=status.st_size, allowed=f"up to {bound:,} bytes")
    return status.st_size


def _read(path: Path, bound: int) -> bytes:
    _size(path, bound)
    with path.open("rb") as file:
        data = file.read(bound + 1)
    if len(data) > bound:
        raise TooLarge(f"{path.name} is too large", allowed=f"up to {bound:,} bytes")
    return data
