"""Spectrograms as pictures, for pages and reports."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.bundle.manifest import AudioPreprocessing
from services.media.audio import Samples
from services.media.mel import log_mel

_RANGE_DB = 70.0
_MAX_COLUMNS = 2_000
_STOPS = ((5, 8, 28), (52, 25, 104), (132, 42, 120), (214, 84, 84), (248, 158, 74), (252, 246, 190))


def spectrogram_png(samples: Samples, p: AudioPreprocessing, *, height: int = 192) -> bytes:
    """A PNG with time to the right and frequency upward; the loudest 70 dB of float32 [n] in colour."""
    p = p.model_copy(update={"mean": 0.0, "std": 1.0})
    decibels = log_mel(p)(samples)
    top = float(decibels.max())
    level = np.clip((decibels - top + _RANGE_DB) / _RANGE_DB, 0, 1)
    if level.shape[1] > _MAX_COLUMNS:
        edges = np.linspace(0, level.shape[1], _MAX_COLUMNS, endpoint=False).astype(int)
        level = np.maximum.reduceat(level, edges, axis=1)
    pixels = _palette()[(level[::-1] * 255).astype(np.uint8)]
    picture = Image.fromarray(pixels)
    if picture.height != height:
        picture = picture.resize((picture.width, height), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    picture.save(out, format="PNG", compress_level=6)
    return out.getvalue()


def view_of(sample_rate: int, bands: int) -> AudioPreprocessing:
    """How a sound is looked at by people: the frequencies that it has, up to 16 kHz, in so many mel bands."""
    return AudioPreprocessing(
        sample_rate=min(max(sample_rate, 4_000), 96_000),
        window_seconds=5.0,
        hop_seconds=5.0,
        n_fft=1024,
        hop_length=320,
        n_mels=bands,
        fmin=50.0,
        fmax=min(16_000.0, sample_rate / 2),
        mean=0.0,
        std=1.0,
    )


def _palette() -> npt.NDArray[np.uint8]:
    places = np.linspace(0, 255, len(_STOPS))
    return np.stack(
        [np.interp(np.arange(256), places, [stop[c] for stop in _STOPS]) for c in range(3)], axis=1
    ).astype(np.uint8)
