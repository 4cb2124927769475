from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.data.dataset import Dataset
from services.data.encoding import encode_sound
from services.data.folders import load_folder
from services.data.options import Options


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 6), np.uint8)).save(file, format="PNG")
    return file.getvalue()


def wav(seed: int) -> bytes:
    return encode_sound(np.random.default_rng(seed).normal(0, 0.1, 4000), 8000, "wav")


def _bytes(content: int | bytes | str, sound: bool) -> bytes:
    if isinstance(content, int):
        return wav(content) if sound else png(content)
    return content.encode() if isinstance(content, str) else content


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files under a root: a number is a picture (with `sound`, a recording) of that seed."""
    root = tmp_path / "data"
    root.mkdir()

    def write_files(files: dict[str, int | bytes | str], sound: bool = False) -> Path:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(content, sound))
        return root

    return write_files


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Dataset]:
    def load_root(root: Path, query: str = "") -> Dataset:
        return load_folder(str(root), root, Options(query), tmp_path / "cache")

    return load_root


@pytest.fixture
def reasons() -> Callable[[Dataset], dict[str, str]]:
    return lambda dataset: {problem.path: problem.reason for problem in dataset.problems}
