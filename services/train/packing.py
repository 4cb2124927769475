"""From a fitted network to the parts of a bundle: threshold, statistics to compare with later, golden inputs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.bundle.golden import Golden
from services.bundle.manifest import AudioPreprocessing, Histogram, Preprocessing
from services.common.errors import DatasetError, RookeryError
from services.data.dataset import Item
from services.media.audio import decode_audio
from services.media.prepare import prepare
from services.media.sniff import sniff
from services.train.export import run_onnx
from services.train.scoring import by_item, probabilities

GOLDEN_ITEMS = 8
_GOLDEN_BYTES = 512 << 10
_GOLDEN_SECONDS = 10.0
_BINS = 20
_THRESHOLDS = np.arange(0.05, 0.96, 0.05)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Models:
    """Both ONNX files with what turns their outputs into answers."""

    model: bytes
    novelty: bytes
    temperature: float
    multi_label: bool

    def answers(self, tensor: Floats, item_of: NDArray[np.int64], items: int) -> tuple[Floats, Floats]:
        """Probabilities [items, classes] and novelty [items] of windows, as the server gives them."""
        logits = run_onnx(self.model, tensor)
        found = probabilities(logits, multi_label=self.multi_label, temperature=self.temperature)
        return by_item(found, item_of, items), by_item(run_onnx(self.novelty, tensor), item_of, items)


def best_threshold(found: Floats, targets: Floats) -> float:
    """The probability from which a label counts as present, with the best F1 over all answers (multi-label)."""

    def f1(threshold: float) -> float:
        answers = found >= threshold
        total = float(answers.sum() + targets.sum())
        return 2 * float((answers * targets).sum()) / max(total, 1.0)

    return round(float(max(_THRESHOLDS, key=f1)), 2)


def references(
    found: Floats, novelty: Floats, features: dict[str, Floats], novelty_threshold: float
) -> dict[str, Histogram]:
    """Histograms of the validation split: confidence, novelty, likeliest label (by index) and each feature.

    What lies beyond the edges is counted in the outermost bins.
    """
    classes = found.shape[1]
    made = {
        "confidence": histogram(found.max(axis=1), np.linspace(0, 1, _BINS + 1)),
        "novelty": histogram(novelty, np.linspace(0, 2 * max(novelty_threshold, 1e-6), _BINS + 1)),
        "label": histogram(found.argmax(axis=1) + 0.5, np.arange(classes + 1)),
    }
    for name, values in features.items():
        low, high = np.percentile(values, [1, 99])
        margin = 0.25 * (high - low) or max(abs(high), 1.0) * 0.1
        made[name] = histogram(values, np.linspace(low - margin, high + margin, _BINS + 1))
    return made


def histogram(values: NDArray[np.floating], edges: NDArray[np.floating]) -> Histogram:
    """Counts between the edges, values beyond them in the outermost bins."""
    edges = np.round(edges.astype(np.float64), 6)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def golden(items: Sequence[Item], preprocessing: Preprocessing, models: Models) -> Golden:
    """Eight items over as many labels as there are, with the answers of the exported models.

    Raises:
        DatasetError: none of the items can be read any more.
    """
    inputs: list[bytes] = []
    found: list[Floats] = []
    novelty: list[Floats] = []
    for item in _spread(items):
        if len(inputs) == GOLDEN_ITEMS:
            break
        try:
            data = _short(item.read(), preprocessing)
            tensor = prepare(data, preprocessing).tensor
        except RookeryError:
            continue
        answer, score = models.answers(tensor, np.zeros(len(tensor), np.int64), 1)
        inputs.append(data)
        found.append(answer[0])
        novelty.append(score[0])
    if not inputs:
        raise DatasetError("no item of the validation split can be read", value=len(items))
    types = [sniff(data) for data in inputs]
    return Golden(inputs, types, np.stack(found), np.array(novelty, np.float32))


def _spread(items: Sequence[Item]) -> list[Item]:
    """One item of each label, then the second of each, and so on."""
    seen: dict[str, int] = {}
    ranked = []
    for item in items:
        seen[item.primary] = seen.get(item.primary, 0) + 1
        ranked.append((seen[item.primary], item.primary, item.id, item))
    return [item for *_, item in sorted(ranked, key=lambda entry: entry[:3])]


def _short(data: bytes, preprocessing: Preprocessing) -> bytes:
    """The file itself, or of a large recording its first ten seconds as a 16-bit wav file."""
    if len(data) <= _GOLDEN_BYTES or not isinstance(preprocessing, AudioPreprocessing):
        return data
    import soundfile

    sound = decode_audio(data)
    file = io.BytesIO()
    samples = sound.samples[: round(_GOLDEN_SECONDS * sound.sample_rate)]
    soundfile.write(file, samples, sound.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
