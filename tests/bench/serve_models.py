"""Bundles for the serving bench: the families as they are exported, with fresh weights, since speed does not ask what
they have learned."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from services.bundle.golden import Golden
from services.bundle.manifest import (
    BundleManifest,
    Dataset,
    Export,
    Histogram,
    ImagePreprocessing,
    Novelty,
    Preprocessing,
)
from services.bundle.writer import write_bundle
from services.media.mel import log_mel
from services.media.presets import bird_preprocessing
from tests.support.bundles import SIDE, digit_png, tiny_image_bundle

__all__ = ["SOUNDS", "clip", "cnn_digits", "digit_png", "tiny_digits"]

BIRDS = 24


def tiny_digits(folder: Path) -> Path:
    """One hidden layer of 64."""
    return tiny_image_bundle(folder)


def cnn_digits(folder: Path) -> Path:
    """The family `cnn` with its default width on 16 by 16 pixels."""
    preprocessing = ImagePreprocessing(
        height=SIDE, width=SIDE, channels=1, mean=[0.3], std=[0.35], invert=True
    )
    labels = [str(digit) for digit in range(10)]
    return _bundle(folder / "cnn-digits", "cnn", preprocessing, (1, SIDE, SIDE), labels)


def _sound(family: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        preprocessing = bird_preprocessing()
        frames = log_mel(preprocessing).frames(
            round(preprocessing.window_seconds * preprocessing.sample_rate)
        )
        labels = [f"species-{index:02d}" for index in range(BIRDS)]
        return _bundle(folder / family, family, preprocessing, (1, preprocessing.n_mels, frames), labels)

    return make


SOUNDS = {f"10 s clip, {family}": _sound(family) for family in ("mel-cnn", "mel-resnet18")}


def clip(seconds: int = 10, rate: int = 48_000) -> bytes:
    """Chirps under noise, 16-bit WAV."""
    time = np.arange(seconds * rate) / rate
    chirps = 0.3 * np.sin(2 * np.pi * (2_000 * time + 900 * np.sin(2 * np.pi * 3 * time)))
    samples = chirps + 0.05 * np.random.default_rng(7).standard_normal(len(time))
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _bundle(
    folder: Path, family: str, preprocessing: Preprocessing, shape: tuple[int, int, int], labels: list[str]
) -> Path:
    import torch

    from services.train.export import OPSET, to_onnx
    from services.train.families import FAMILIES
    from services.train.hyperparameters import Hyperparameters
    from services.train.networks import build
    from services.train.novelty import Autoencoder

    torch.manual_seed(0)
    size = (shape[1], shape[2])
    network = build(FAMILIES[family], channels=1, classes=len(labels), size=size, hyper=Hyperparameters())
    model = to_onnx(network, shape, "logits")
    novelty = to_onnx(Autoencoder(shape, sound=preprocessing.kind == "audio"), shape, "score")
    manifest = BundleManifest(
        application="bench",
        model_name=family,
        task="single-label" if preprocessing.kind == "image" else "multi-label",
        labels=labels,
        preprocessing=preprocessing,
        temperature=1.0,
        threshold=0.5,
        novelty=Novelty(threshold=1.0, percentile=99, split="validation"),
        metrics={},
        dataset=Dataset(source="bench", digest="sha256:" + "0" * 64, class_counts={}, split_sizes={}),
        run_id="0" * 32,
        code_revision="bench",
        export=Export(opset=OPSET, torch_version=torch.__version__, max_difference=0.0),
        reference={"confidence": Histogram(edges=[0.0, 1.0], counts=[1])},
    )
    answers = np.zeros((1, len(labels)), np.float32)
    golden = Golden([digit_png(0)], ["png"], answers, np.zeros(1, np.float32))
    write_bundle(folder, manifest, model, novelty, golden)
    return folder
