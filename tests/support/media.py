"""Sounds, pictures and bundles small enough to make in a test."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from services.bundle.golden import Golden
from services.bundle.manifest import (
    AudioPreprocessing,
    BundleManifest,
    Dataset,
    Export,
    ImagePreprocessing,
    Novelty,
)

DIGITS = ImagePreprocessing(height=8, width=8, channels=1, mean=[0.5], std=[0.5])
SMALL_AUDIO = AudioPreprocessing(
    sample_rate=16_000,
    window_seconds=1.0,
    hop_seconds=1.0,
    n_fft=512,
    hop_length=160,
    n_mels=32,
    fmin=50,
    fmax=8_000,
    mean=-40,
    std=20,
)


def tone(seconds: float = 1.0, rate: int = 16_000, hz: float = 1_000.0) -> np.ndarray:
    """A sine of amplitude 0.5, float32."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(samples: np.ndarray, rate: int, container: str = "WAV", subtype: str | None = None) -> bytes:
    """Samples as a sound file."""
    out = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(out, "w", rate, channels, subtype, format=container) as file:
        # libsndfile 1.2.2 overflows its stack when it encodes Vorbis in one long write.
        for start in range(0, len(samples), 1 << 16):
            file.write(samples[start : start + (1 << 16)])
    return out.getvalue()


def wav_header(
    *,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    tag: int = 1,
    claimed: int = 0,
    body: bytes = b"",
) -> bytes:
    """A WAV file whose header claims whatever is asked for."""
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    return (
        b"RIFF" + struct.pack("<I", (36 + claimed) & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", claimed) + body
    )  # fmt: skip


def png(pixels: np.ndarray, **options: Any) -> bytes:
    """A PNG of uint8 pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    """A JPEG of uint8 pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def png_claiming(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header claims a size, over compressed `data`."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def npy(array: np.ndarray) -> bytes:
    """A .npy file."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npy_claiming(shape: str, dtype: str = "<f4") -> bytes:
    """A .npy file of 16 bytes whose header claims a shape."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16)


def onnx_model(
    output: str = "logits", classes: int = 3, *, opset: int = 20, domain: str = "", edit: Any = None
) -> bytes:
    """A linear model of 8 x 8 pictures; `edit` may change the ModelProto before it is written."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.linspace(-1, 1, 64 * classes, dtype=np.float32).reshape(64, classes)
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product" if output == "score" else output]),
    ]
    shape: list[Any] = ["n", classes]
    if output == "score":
        nodes.append(helper.make_node("ReduceMean", ["product", "axes"], ["score"], keepdims=0))
        shape = ["n"]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=10)
    if edit is not None:
        edit(model)
    return bytes(model.SerializeToString())


def with_external_data(model: Any) -> None:
    """Points the weights at a file outside."""
    from onnx import TensorProto

    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def manifest(**changes: Any) -> BundleManifest:
    """A manifest of three labels for digits."""
    values: dict[str, Any] = {
        "application": "digits",
        "model_name": "cnn",
        "task": "single-label",
        "labels": ["a", "b", "c"],
        "preprocessing": DIGITS,
        "temperature": 1.0,
        "novelty": Novelty(threshold=1.0, percentile=99.0),
        "metrics": {"accuracy": 0.9},
        "dataset": Dataset(
            source="digits",
            digest="sha256:" + "0" * 64,
            class_counts={"a": 1, "b": 1, "c": 1},
            split_sizes={},
        ),
        "run_id": "run",
        "code_revision": "revision",
        "export": Export(opset=20, torch_version="2.13", max_difference=0.0),
        "reference": {},
    }
    return BundleManifest(**{**values, **changes})


def golden(count: int = 2, classes: int = 3) -> Golden:
    """Equal probabilities for pictures of one grey each."""
    inputs = [png(np.full((8, 8), 10 * index, np.uint8)) for index in range(count)]
    return Golden(
        inputs,
        ["png"] * count,
        np.full((count, classes), 1 / classes, np.float32),
        np.zeros(count, np.float32),
    )
