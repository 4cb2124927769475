from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.bundle.golden import Golden
from services.bundle.reader import bundle_digest, read_bundle
from services.bundle.writer import write_bundle
from services.common.errors import Conflict, InvalidInput
from tests.support.media import golden, manifest, onnx_model, with_external_data

MODEL, NOVELTY = onnx_model(), onnx_model("score")


def test_the_same_bundle_has_the_same_bytes_wherever_it_is_written(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a", manifest(), MODEL, NOVELTY, golden())
    second = write_bundle(tmp_path / "deep" / "er" / "b", manifest(), MODEL, NOVELTY, golden())
    assert first == second == bundle_digest(tmp_path / "a") == read_bundle(tmp_path / "a").digest
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "deep" / "er" / "b" / path.name).read_bytes()


def test_any_difference_gives_another_digest(tmp_path: Path) -> None:
    digests = {
        write_bundle(tmp_path / "0", manifest(), MODEL, NOVELTY, golden()),
        write_bundle(tmp_path / "1", manifest(temperature=2.0), MODEL, NOVELTY, golden()),
        write_bundle(tmp_path / "2", manifest(), onnx_model(opset=19), NOVELTY, golden()),
        write_bundle(tmp_path / "3", manifest(), MODEL, onnx_model("score", opset=19), golden()),
        write_bundle(tmp_path / "4", manifest(), MODEL, NOVELTY, golden(3)),
    }
    assert len(digests) == 5


def test_writing_again_changes_nothing_and_another_bundle_is_a_conflict(tmp_path: Path) -> None:
    digest = write_bundle(tmp_path / "b", manifest(), MODEL, NOVELTY, golden())
    before = (tmp_path / "b" / "model.onnx").stat()
    assert write_bundle(tmp_path / "b", manifest(), MODEL, NOVELTY, golden()) == digest
    assert (tmp_path / "b" / "model.onnx").stat().st_ino == before.st_ino
    with pytest.raises(Conflict, match="another bundle"):
        write_bundle(tmp_path / "b", manifest(temperature=2.0), MODEL, NOVELTY, golden())
    (tmp_path / "c").mkdir()
    with pytest.raises(Conflict, match="no bundle"):
        write_bundle(tmp_path / "c", manifest(), MODEL, NOVELTY, golden())


def test_many_writers_of_one_bundle_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(
            pool.map(lambda _: write_bundle(tmp_path / "b", manifest(), MODEL, NOVELTY, golden()), range(16))
        )
    assert digests == {bundle_digest(tmp_path / "b")}
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("model", "novelty", "expected"),
    [
        (onnx_model(edit=with_external_data), NOVELTY, "external data"),
        (b"\x80\x04\x95.", NOVELTY, "pickle"),
        (NOVELTY, NOVELTY, "other inputs or outputs"),
        (MODEL, MODEL, "other inputs or outputs"),
    ],
)
def test_a_model_that_is_not_allowed_is_not_written(
    tmp_path: Path, model: bytes, novelty: bytes, expected: str
) -> None:
    with pytest.raises(InvalidInput, match=expected):
        write_bundle(tmp_path / "b", manifest(), model, novelty, golden())
    assert list(tmp_path.iterdir()) == []


def test_answers_must_fit_the_labels(tmp_path: Path) -> None:
    made = Golden([b"x"], ["png"], np.full((1, 2), 0.5, np.float32), np.zeros(1, np.float32))
    with pytest.raises(InvalidInput, match="labels"):
        write_bundle(tmp_path / "b", manifest(), MODEL, NOVELTY, made)
    with pytest.raises(InvalidInput, match="twice"):
        write_bundle(tmp_path / "b", manifest(labels=["a", "b", "a"]), MODEL, NOVELTY, golden())
