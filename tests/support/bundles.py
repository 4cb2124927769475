"""Small bundles with real ONNX models, made without training: for every test that needs something to serve.

The picture model reads scikit-learn's digits with a small network fitted in a second; the sound model tells low,
middle and high tones apart by the energy of its mel bands, and leaves a margin of silence as nothing at all.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from services.bundle.golden import Golden
from services.bundle.manifest import (
    AudioPreprocessing,
    BundleManifest,
    Dataset,
    Export,
    Histogram,
    ImagePreprocessing,
    Novelty,
)
from services.bundle.writer import write_bundle
from services.media.mel import log_mel
from services.media.prepare import prepare
from services.serve.predictor import Predictor

SIDE = 16
TONES = {"low": 400.0, "middle": 2000.0, "high": 6000.0}
_OPSET = 17


def tiny_image_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle that recognises digits; returns its folder. `changes` are of the manifest."""
    model, novelty, threshold = _digit_models()
    preprocessing = ImagePreprocessing(
        height=SIDE, width=SIDE, channels=1, mean=[0.3], std=[0.35], invert=True
    )
    # Scans that no test sends, since the monitor leaves golden inputs out.
    inputs = [digit_png(index) for index in range(1687, 1693)]
    labels = [str(digit) for digit in range(10)]
    return _write(
        folder / "digits-bundle", "digits", labels, preprocessing, model, novelty, threshold, inputs, changes
    )


def tiny_audio_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle that tells three tones apart in windows of one second; returns its folder."""
    preprocessing = audio_preprocessing()
    model, novelty, threshold = _tone_models(preprocessing)
    inputs = [tone_wav(hz, 1.0, amplitude=0.31) for hz in TONES.values()]
    return _write(
        folder / "tones-bundle",
        "birds",
        list(TONES),
        preprocessing,
        model,
        novelty,
        threshold,
        inputs,
        changes,
    )


def audio_preprocessing() -> AudioPreprocessing:
    """Of the sound bundle."""
    return AudioPreprocessing(
        sample_rate=16_000,
        window_seconds=1.0,
        hop_seconds=1.0,
        n_fft=512,
        hop_length=256,
        n_mels=32,
        fmin=100.0,
        fmax=8000.0,
        mean=-40.0,
        std=20.0,
    )


def digit_png(index: int) -> bytes:
    """A scan of scikit-learn's digits as PNG, 8 by 8, bright on dark; `digit_label` says which digit it is."""
    pixels = np.round(_digits().images[index] * (255 / 16)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def digit_label(index: int) -> str:
    """What the scan shows."""
    return str(_digits().target[index])


def tone_wav(hz: float | list[float], seconds: float, *, rate: int = 16_000, amplitude: float = 0.3) -> bytes:
    """A WAV file with one tone, or with several one after the other, `seconds` each."""
    time = np.arange(round(seconds * rate)) / rate
    tones = [hz] if isinstance(hz, float) else hz
    samples = np.concatenate([amplitude * np.sin(2 * np.pi * tone * time) for tone in tones])
    noise = np.random.default_rng(1).normal(0, 0.001, len(samples))
    file = io.BytesIO()
    soundfile.write(file, (samples + noise).astype(np.float32), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


@lru_cache(maxsize=1)
def _digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


@lru_cache(maxsize=1)
def _digit_models() -> tuple[bytes, bytes, float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    preprocessing = ImagePreprocessing(
        height=SIDE, width=SIDE, channels=1, mean=[0.3], std=[0.35], invert=True
    )
    tensors = [prepare(digit_png(index), preprocessing).tensor for index in range(len(_digits().target))]
    x = np.concatenate(tensors).reshape(-1, SIDE * SIDE)
    network = MLPClassifier((64,), max_iter=40, random_state=0, tol=0, n_iter_no_change=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(x, _digits().target)
    (w1, w2), (b1, b2) = network.coefs_, network.intercepts_
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["logits"]),
    ]
    shape = [1, SIDE, SIDE]
    model = _model(nodes, {"w1": w1, "b1": b1, "w2": w2, "b2": b2}, shape, "logits", ["N", 10])
    novelty, scores = _linear_autoencoder(x, shape, 24)
    return model, novelty, float(np.percentile(scores, 99.5))


def _tone_models(p: AudioPreprocessing) -> tuple[bytes, bytes, float]:
    transform = log_mel(p)
    frames = transform.frames(round(p.window_seconds * p.sample_rate))
    shape = [1, p.n_mels, frames]
    examples = [
        prepare(tone_wav(hz * factor, 1.0, amplitude=amplitude), p).tensor
        for hz in TONES.values()
        for factor in (0.95, 0.98, 1.0, 1.02, 1.05)
        for amplitude in (0.1, 0.3, 0.5)
    ]
    x = np.concatenate(examples)
    bands = x.mean(axis=(1, 3))
    templates = np.stack([bands[index * 15 : index * 15 + 15].mean(axis=0) for index in range(3)])
    weights = (templates - templates.mean(axis=0)).T * 4
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["bands"], axes=[1, 3], keepdims=0),
        helper.make_node("Gemm", ["bands", "w", "b"], ["logits"]),
    ]
    bias = -0.5 * 4 * ((templates**2).sum(axis=1) - (templates.mean(axis=0) ** 2).sum())
    model = _model(nodes, {"w": weights, "b": bias}, shape, "logits", ["N", 3])
    novelty, scores = _linear_autoencoder(x.reshape(len(x), -1), shape, 6)
    return model, novelty, float(scores.max() * 3)


def _linear_autoencoder(x: np.ndarray, shape: list[int], size: int) -> tuple[bytes, np.ndarray]:
    mean = x.mean(axis=0)
    _, _, axes = np.linalg.svd(x - mean, full_matrices=False)
    encode = axes[:size].T
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Sub", ["flat", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "encode"], ["code"]),
        helper.make_node("MatMul", ["code", "decode"], ["again"]),
        helper.make_node("Sub", ["centred", "again"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["score"], axes=[1], keepdims=0),
    ]
    scores = (((x - mean) - (x - mean) @ encode @ encode.T) ** 2).mean(axis=1)
    tensors = {"mean": mean, "encode": encode, "decode": encode.T}
    return _model(nodes, tensors, shape, "score", ["N"]), scores


def _model(
    nodes: list[Any], tensors: dict[str, np.ndarray], shape: list[int], output: str, dims: list[Any]
) -> bytes:
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name)
        for name, value in tensors.items()
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, dims)],
        constants,
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10
    )
    return model.SerializeToString()


def _write(
    folder: Path,
    application: str,
    labels: list[str],
    preprocessing: ImagePreprocessing | AudioPreprocessing,
    model: bytes,
    novelty: bytes,
    threshold: float,
    inputs: list[bytes],
    changes: dict[str, Any],
) -> Path:
    facts: dict[str, Any] = {
        "application": application,
        "model_name": "tiny",
        "task": "single-label",
        "labels": labels,
        "preprocessing": preprocessing,
        "temperature": 1.0,
        "threshold": 0.5,
        "novelty": Novelty(threshold=threshold, percentile=99.5, split="validation"),
        "metrics": {"accuracy": 0.97},
        "dataset": Dataset(
            source="digits" if application == "digits" else "synthetic-birds",
            digest="sha256:" + "0" * 64,
            class_counts=dict.fromkeys(labels, 100),
            split_sizes={"training": 100 * len(labels), "validation": 100, "evaluation": 100},
        ),
        "run_id": "0" * 32,
        "code_revision": "test",
        "export": Export(opset=_OPSET, torch_version="none", max_difference=0.0),
        "reference": {"confidence": Histogram(edges=[0.0, 0.5, 1.0], counts=[1, 99])},
    }
    manifest = BundleManifest(**(facts | changes))
    media_type = "png" if preprocessing.kind == "image" else "wav"
    blank = Golden(
        inputs=inputs,
        media_types=[media_type] * len(inputs),
        probabilities=np.zeros((len(inputs), len(manifest.labels)), np.float32),
        novelty=np.zeros(len(inputs), np.float32),
    )
    golden = _answered(blank, manifest, model, novelty)
    write_bundle(folder, manifest, model, novelty, golden)
    return folder


def _answered(golden: Golden, manifest: BundleManifest, model: bytes, novelty: bytes) -> Golden:
    from services.bundle.reader import Bundle

    bundle = Bundle(Path(), manifest, "sha256:" + "0" * 64, model, novelty, golden)
    answers = [Predictor(bundle).predict(data) for data in golden.inputs]
    return Golden(
        inputs=golden.inputs,
        media_types=golden.media_types,
        probabilities=np.stack([answer.probabilities for answer in answers]),
        novelty=np.array([answer.novelty for answer in answers], np.float32),
    )
