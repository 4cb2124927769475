"""Models and bundles that are not what they say: refused before any runtime opens them."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.bundle.onnx_file import check_onnx
from services.bundle.reader import bundle_digest, read_bundle
from services.bundle.writer import write_bundle
from services.common.errors import IntegrityError, InvalidInput, RookeryError
from tests.support.media import golden, manifest, onnx_model, with_external_data
from tests.support.memory import REPOSITORY, measure


class _Payload:
    """Unpickling it would make the file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def _torch_zip(inner: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", inner)
    return out.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    payload = pickle.dumps(_Payload(marker), protocol=protocol)
    for data in (payload, _torch_zip(payload)):
        with pytest.raises(InvalidInput):
            check_onnx(data)
        folder = tmp_path / "bundle"
        folder.mkdir(exist_ok=True)
        for name in ("model.onnx", "novelty.onnx"):
            (folder / name).write_bytes(data)
        (folder / "bundle.json").write_text(manifest().model_dump_json(by_alias=True))
        (folder / "golden.npz").write_bytes(golden().to_bytes())
        with pytest.raises(InvalidInput, match=r"pickle|zip|Protocol Buffers"):
            read_bundle(folder)
    assert not marker.exists()


def test_a_pickle_as_golden_answers_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    out = io.BytesIO()
    np.savez(out, probabilities=np.array([_Payload(marker)], dtype=object), novelty=np.zeros(1))
    write_bundle(tmp_path / "b", manifest(), onnx_model(), onnx_model("score"), golden())
    (tmp_path / "b" / "golden.npz").write_bytes(out.getvalue())
    with pytest.raises(InvalidInput, match=r"golden\.npz"):
        read_bundle(tmp_path / "b")
    assert not marker.exists()


def test_a_model_with_external_data_is_refused_and_the_file_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "weights.bin"
    os.mkfifo(pipe)

    def point_to_pipe(model: Any) -> None:
        with_external_data(model)
        model.graph.initializer[0].external_data[0].value = "weights.bin"

    write_bundle(tmp_path / "b", manifest(), onnx_model(), onnx_model("score"), golden())
    pipe.rename(tmp_path / "b" / "weights.bin")
    (tmp_path / "b" / "model.onnx").write_bytes(onnx_model(edit=point_to_pipe))
    with pytest.raises(InvalidInput):
        read_bundle(tmp_path / "b")
    (tmp_path / "b" / "weights.bin").unlink()
    with pytest.raises(InvalidInput, match="external data"):
        read_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "empty"),
        (b"\x00\x00\x00\x00ORTM" + bytes(100), "ONNX Runtime's own"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(100), "TensorFlow Lite"),
        (b"\x7fELF" + bytes(100), "program"),
        (b"<html>", "Protocol Buffers"),
        (b'{"weights": []}', "Protocol Buffers"),
        (bytes(1000), "Protocol Buffers"),
        (b"\x08\x0a", "no graph"),
    ],
)
def test_other_formats_are_refused(data: bytes, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        check_onnx(data)


def test_a_model_that_claims_more_than_it_has_takes_no_memory(tmp_path: Path) -> None:
    data = b"\x08\x0a\x3a\xff\xff\xff\xff\x0f" + bytes(100)
    outcome = measure({"it": data}, "model", tmp_path)["it"]
    assert outcome.status == 422
    assert outcome.peak_mib < 8


def test_a_large_model_is_checked_without_a_copy(tmp_path: Path) -> None:
    def grow(model: Any) -> None:
        model.graph.initializer.add(name="big", data_type=1, dims=[25 << 20], raw_data=bytes(100 << 20))

    outcome = measure({"it": onnx_model(edit=grow)}, "model", tmp_path)["it"]
    assert outcome.status == 200, outcome
    assert outcome.peak_mib < 8


def test_a_zip_bomb_as_golden_answers_takes_no_memory(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.savez_compressed(out, inputs_0=np.zeros(200 << 20, np.uint8))
    outcome = measure({"it": out.getvalue()}, "golden", tmp_path)["it"]
    assert outcome.status == 422
    assert outcome.peak_mib < 8


def test_any_flipped_bit_is_refused_by_digest(tmp_path: Path) -> None:
    promised = write_bundle(tmp_path / "b", manifest(), onnx_model(), onnx_model("score"), golden())
    rng = np.random.default_rng(1)
    for path in sorted((tmp_path / "b").iterdir()):
        good = path.read_bytes()
        for place in rng.integers(0, len(good), 10):
            bad = bytearray(good)
            bad[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(bad)
            with pytest.raises(IntegrityError):
                read_bundle(tmp_path / "b", promised)
        path.write_bytes(good)
    assert read_bundle(tmp_path / "b", promised).digest == promised


def test_files_swapped_with_each_other_are_refused(tmp_path: Path) -> None:
    promised = write_bundle(tmp_path / "b", manifest(), onnx_model(), onnx_model("score"), golden())
    model, novelty = tmp_path / "b" / "model.onnx", tmp_path / "b" / "novelty.onnx"
    first, second = model.read_bytes(), novelty.read_bytes()
    model.write_bytes(second)
    novelty.write_bytes(first)
    assert bundle_digest(tmp_path / "b") != promised
    with pytest.raises(RookeryError):
        read_bundle(tmp_path / "b")


_FULL = """
import resource, sys
from pathlib import Path
from services.bundle.writer import write_bundle
from tests.support.media import golden, manifest, onnx_model
resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
try:
    write_bundle(Path(sys.argv[1]) / "b", manifest(), onnx_model(), onnx_model("score"), golden(5))
except OSError as error:
    print("refused", error.errno)
"""


def test_a_disk_that_fills_up_leaves_no_half_bundle(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("refused"), done.stderr
    assert list(tmp_path.iterdir()) == []
