"""Which data is only away, and which has changed."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import settings as few
from hypothesis import strategies as st

from services.common.errors import InvalidInput, Unavailable
from services.data.generate import write_pictures
from services.data.source import load_dataset
from services.evaluate import evaluation
from services.evaluate.settings import EvaluateSettings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "data"
    write_pictures(folder, items=24, classes=2, seed=1)
    return folder


def read(root: Path, digest: str, folder: Path) -> object:
    trained = SimpleNamespace(source=str(root), digest=digest)
    candidate = SimpleNamespace(manifest=SimpleNamespace(dataset=trained))
    settings = EvaluateSettings(state_dir=folder / "state", cache_dir=folder / "cache")
    return evaluation._read_data(candidate, settings)  # type: ignore[arg-type]


@few(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 23), min_size=1, max_size=5))
def test_files_that_the_disk_refuses_are_away_and_not_remembered(
    root: Path, tmp_path_factory: pytest.TempPathFactory, refused: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    digest = load_dataset(str(root), cache=folder / "other").digest
    files = sorted(path for path in root.rglob("*") if path.is_file())
    names = {files[number] for number in refused}
    read_bytes = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path in names:
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(path)

    with pytest.MonkeyPatch.context() as patch:
        # No test can make a disk fail for real.
        patch.setattr(Path, "read_bytes", failing)
        with pytest.raises(Unavailable, match=f"{len(names)} files or folders are inaccessible"):
            read(root, digest, folder)
    assert read(root, digest, folder).digest == digest  # type: ignore[attr-defined]


def test_data_that_is_another_is_given_to_be_judged(root: Path, tmp_path: Path) -> None:
    assert read(root, "sha256:" + "1" * 64, tmp_path).items  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "cause", "passing"),
    [
        ("ONNX Runtime cannot load the models: std::bad_alloc", None, True),
        ("ONNX Runtime cannot load the models: Failed to allocate memory for requested buffer", None, True),
        ("ONNX Runtime cannot load the models", MemoryError(), True),
        ("ONNX Runtime cannot load the models: an unknown operator", RuntimeError(), False),
    ],
)
def test_a_full_memory_is_not_held_against_the_model(
    monkeypatch: pytest.MonkeyPatch, said: str, cause: BaseException | None, passing: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InvalidInput(said) from cause

    monkeypatch.setattr(evaluation, "Predictor", refuse)
    with pytest.raises(Unavailable if passing else InvalidInput):
        evaluation._open(SimpleNamespace())  # type: ignore[arg-type]
