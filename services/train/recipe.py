"""What a training would be made of: data, code, parameters and environment, each with a digest, and one over all.

The same recipe gives the same model, so whoever asks for a training can see whether there is one already.
"""

from __future__ import annotations

import importlib.metadata
import platform
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from services.common.codebase import TRAINING, code_digest, on_disk
from services.common.digest import canonical_json, digest_bytes
from services.data.scan import scan
from services.data.source import load_dataset
from services.data.store import Location, ObjectStoreSettings, connect, list_objects
from services.train.hyperparameters import parse
from services.train.records import Request
from services.train.settings import TrainSettings

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    *("torch", "torchvision", "numpy", "scipy", "scikit-learn", "onnx", "onnxruntime"),
    *("pillow", "soundfile", "soxr", "safetensors"),
)
_KEPT = 64
_WAIT_SECONDS = 5.0


def recipe(dataset_digest: str, request: Request, code: str, environment: str) -> dict[str, Any]:
    """The parts of a training and the digest over them; defaults are parts too, so a changed one is another recipe."""
    parts = {
        "data": dataset_digest,
        "code": code,
        "environment": environment,
        "model_name": request.model_name,
        "parameters": parse(request.hyperparameters).as_params(),
    }
    return parts | {"key": digest_bytes(canonical_json(parts))}


def running_code() -> str:
    """The digest of the code of a training that starts now."""
    return code_digest(on_disk(_ROOT), TRAINING)


@cache
def running_environment(image_digest: str = "") -> str:
    """The digest of the image, else of the versions of what trains."""
    if image_digest:
        return image_digest
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return digest_bytes(canonical_json(versions))


class Recipes:
    """Recipes of trainings that were not asked for yet. Data is read anew only when files of it have changed."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recipe")
        self._lock = threading.Lock()
        self._read: dict[str, Future[dict[str, Any]]] = {}

    def find(self, request: Request) -> dict[str, Any] | None:
        """The recipe; None while the data is being read, which can take minutes the first time.

        Raises:
            RookeryError: the data cannot be read.
        """
        source = request.data_source
        key = f"{source}\n{self._state(source)}"
        with self._lock:
            reading = self._read.get(key)
            if reading is None or (reading.done() and reading.exception() is not None):
                reading = self._read[key] = self._pool.submit(self._load, source)
            while len(self._read) > _KEPT:
                self._read.pop(next(iter(self._read)))
        try:
            data = reading.result(_WAIT_SECONDS)
        except TimeoutError:
            return None
        made = recipe(
            data["digest"], request, running_code(), running_environment(self._settings.image_digest)
        )
        return made | {"source": source, "items": data["items"], "labels": data["labels"]}

    def close(self) -> None:
        """Let go of the thread; a scan at work is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, source: str) -> dict[str, Any]:
        settings = self._settings
        dataset = load_dataset(
            source, store=ObjectStoreSettings(), roots=settings.roots, cache=settings.cache_dir
        )
        return {"digest": dataset.digest, "items": len(dataset.items), "labels": len(dataset.labels)}

    def _state(self, source: str) -> str:
        """Changes whenever a file of the source may have changed; empty for data that is made from its name."""
        name = source.partition("?")[0]
        if name.startswith("/"):
            root = Path(name)
            roots = self._settings.roots
            if not root.is_dir() or (
                roots and not any(root.resolve().is_relative_to(one.resolve()) for one in roots)
            ):
                return ""
            listed: list[Any] = [[file.id, file.size, file.changed_ns] for file in scan(root.resolve())[0]]
        elif name.startswith("s3://"):
            with connect(ObjectStoreSettings()) as client:
                listed = [[one.key, one.etag, one.size] for one in list_objects(client, Location.parse(name))]
        else:
            return ""
        return digest_bytes(canonical_json(listed))
