"""What a model is put on: the serving code as one layer, or an image in a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.common.digest import canonical_json, digest_bytes, digest_file
from services.common.errors import NotFound
from workflows.release.layer import TAR

BASE_DIGEST = "io.rookery.base"
PACKAGES = ("common", "media", "bundle", "serve")
_LOCK = Path("requirements/serve.lock")
_LEFT_OUT = {".pyc", ".pyo", ".tmp", ".swp"}


@dataclass(frozen=True)
class Layer:
    """A layer that lies elsewhere: its descriptor, and the digest of its uncompressed bytes."""

    media_type: str
    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True)
class ServingBase:
    """The lower part of a model image.

    Attributes:
        files: path in the image → file on disk, packed as the first layer; empty for a base in a registry.
        layers: of a base in a registry, lowest first.
        config: the `config` object of the image (user, entry point, environment).
        labels: what identifies the base.
        name: reference of a base in a registry, from where its layers are mounted.
        scheme: how that registry is spoken to.
    """

    files: Mapping[str, Path]
    config: Mapping[str, Any]
    labels: Mapping[str, str]
    layers: tuple[Layer, ...] = ()
    name: str | None = None
    scheme: str = "https"
    architecture: str = "amd64"
    history: tuple[Mapping[str, Any], ...] = field(default=())

    def is_under(self, labels: Mapping[str, str]) -> bool:
        """Whether an image with these labels is on this base."""
        return all(labels.get(name) == value for name, value in self.labels.items())

    @property
    def identity(self) -> str:
        """The digest that tells this base from others: of the image, or of the serving code."""
        return self.labels.get(BASE_DIGEST) or self.labels["io.rookery.serving-code"]

    @classmethod
    def from_checkout(cls, repository: Path) -> ServingBase:
        """The serving code of a checkout under /app, on the environment of requirements/serve.lock.

        Raises:
            NotFound: this is no checkout with the serving code.
        """
        lock = repository / _LOCK
        if not lock.is_file():
            raise NotFound("there is no locked serving environment", value=str(lock))
        files = {
            f"app/{_LOCK.as_posix()}": lock,
            "app/services/__init__.py": repository / "services/__init__.py",
        }
        for package in PACKAGES:
            folder = repository / "services" / package
            if not folder.is_dir():
                raise NotFound("there is no serving code", value=str(folder))
            files |= {f"app/{path.relative_to(repository).as_posix()}": path for path in _sources(folder)}
        names = [{"path": name, "sha256": digest_file(path)} for name, path in sorted(files.items())]
        labels = {
            "io.rookery.serving-environment": digest_file(lock),
            "io.rookery.serving-code": digest_bytes(canonical_json(names)),
        }
        return cls(files=files, config=default_config(), labels=labels)


def default_config() -> dict[str, Any]:
    """How the serving process is started, as a user that is not root."""
    return {
        "User": "65532:65532",
        "WorkingDir": "/app",
        "Entrypoint": ["python", "-m", "services.serve", "--bundle", "/bundle"],
        "Cmd": ["--host", "0.0.0.0", "--port", "8080"],  # noqa: S104
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONPATH=/app", "PYTHONDONTWRITEBYTECODE=1"],
        "ExposedPorts": {"8080/tcp": {}},
    }


def image_parts(
    base: ServingBase, layers: list[Layer], labels: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The image's configuration, and its manifest without the configuration's descriptor.

    Source: OCI image specification 1.1, image configuration and image manifest.
    """
    own = {"created_by": "rookery", "comment": "serving code and model bundle"}
    known = len(base.layers)
    config = {
        "architecture": base.architecture,
        "os": "linux",
        "config": {**base.config, "Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [*base.history, *([own] * (len(layers) - known))],
    }
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in layers
        ],
    }
    if base.name is not None:
        manifest["annotations"] = {"org.opencontainers.image.base.name": base.name}
    return config, manifest


MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PLAIN_LAYER = TAR


def _sources(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix not in _LEFT_OUT
        and path.name != "Dockerfile"
        and not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
    ]
