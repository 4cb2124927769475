"""The worst mistakes as something to look at and listen to."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from services.bundle.manifest import AudioPreprocessing
from services.data.dataset import Item
from services.evaluate.metrics import Answers
from services.media.audio import decode_audio, resample
from services.media.image import decode_image
from services.media.spectrogram import spectrogram_png
from services.serve.predictor import Predictor

PICTURES, SOUNDS = 24, 8
_SECONDS = 10.0
_SIDE = 192
_PLAYED_RATES = (8_000, 16_000, 22_050, 24_000, 32_000)


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        true, said: labels with the probability that the model gave each.
        picture, sound: data URLs; empty where there is none.
        note: what else is to be known, such as which seconds are shown.
    """

    id: str
    true: list[tuple[str, float]]
    said: list[tuple[str, float]]
    novel: bool
    picture: str = field(repr=False)
    sound: str = field(default="", repr=False)
    note: str = ""


def worst_rows(answers: Answers, count: int) -> NDArray[np.int64]:
    """Rows of the wrong answers, the most confidently wrong first.

    Single-label: by how much more probable the wrong first guess was than the truth. Multi-label: by the surest
    single error, a label said with probability p that is not there, or missed with 1 - p.
    """
    truth, said = answers.truth, answers.probabilities
    if answers.multi_label:
        wrong = truth != answers.predicted
        badness = np.where(wrong, np.where(truth, 1 - said, said), 0.0).max(axis=1)
        rows = np.flatnonzero(wrong.any(axis=1))
    else:
        badness = said.max(axis=1) - np.where(truth, said, 0.0).max(axis=1)
        rows = np.flatnonzero(~answers.hits)
    return rows[np.argsort(-badness[rows], kind="stable")][:count]


def show(
    predictor: Predictor, items: Sequence[Item], answers: Answers, novelty: Sequence[float]
) -> list[Mistake]:
    """The worst mistakes, those of `items` (int [n]) that `answers` and `novelty` are of, in the same order."""
    manifest = predictor.manifest
    sounds = isinstance(manifest.preprocessing, AudioPreprocessing)
    found = []
    for row in worst_rows(answers, SOUNDS if sounds else PICTURES):
        said = answers.predicted[row] & ~answers.truth[row]
        if not said.any() and not answers.predicted[row].any():
            said = np.arange(len(said)) == answers.top[row]
        picture, sound, note = _media(predictor, items[row], said)
        found.append(
            Mistake(
                id=items[row].id,
                true=_named(manifest.labels, answers, row, answers.truth[row]),
                said=_named(manifest.labels, answers, row, said),
                novel=novelty[row] > manifest.novelty.threshold,
                picture=picture,
                sound=sound,
                note=note,
            )
        )
    return found


def _named(
    labels: Sequence[str], answers: Answers, row: int, which: NDArray[np.bool_]
) -> list[tuple[str, float]]:
    return [(labels[c], float(answers.probabilities[row, c])) for c in np.flatnonzero(which).tolist()]


def _media(predictor: Predictor, item: Item, said: NDArray[np.bool_]) -> tuple[str, str, str]:
    preprocessing = predictor.manifest.preprocessing
    data = item.read()
    if not isinstance(preprocessing, AudioPreprocessing):
        pixels = decode_image(data, predictor.limits)
        return _url("image/png", _thumbnail(pixels)), "", f"{pixels.shape[1]} × {pixels.shape[0]} pixels"
    sound = decode_audio(data, predictor.limits)
    rate = preprocessing.sample_rate
    samples = resample(sound.samples, sound.sample_rate, rate)
    start = _start(samples, round(_SECONDS * rate))
    part = samples[start : start + round(_SECONDS * rate)]
    least = round(preprocessing.window_seconds * rate)
    shown = np.pad(part, (0, max(0, least - len(part))))
    begin = start / rate
    note = f"{begin:.1f} to {begin + len(part) / rate:.1f} s of {sound.duration:.1f} s"
    return _url("image/png", spectrogram_png(shown, preprocessing)), _played(part, rate), note


def _start(samples: NDArray[np.float32], length: int) -> int:
    """Where the loudest `length` samples begin."""
    if len(samples) <= length:
        return 0
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return int(np.argmax(total[length:] - total[:-length]))


def _thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(pixels)
    if max(picture.size) > _SIDE:
        picture.thumbnail((_SIDE, _SIDE))
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def _played(samples: NDArray[np.float32], rate: int) -> str:
    target = next((r for r in _PLAYED_RATES if r >= rate), _PLAYED_RATES[-1])
    loud = float(np.abs(samples).max()) if len(samples) else 0.0
    samples = resample(samples, rate, target) * np.float32(0.9 / loud if loud > 0 else 1.0)
    out = io.BytesIO()
    soundfile.write(out, samples, target, format="MP3")
    return _url("audio/mpeg", out.getvalue())


def _url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
