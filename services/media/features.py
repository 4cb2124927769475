"""A few numbers that say what an input is like, for slices and drift."""

from __future__ import annotations

import numpy as np
import scipy.fft

from services.media.audio import Samples
from services.media.image import Pixels

_SILENCE_DBFS = -120.0
_FFT = 1024
_FRAMES = 64
_BLOCK = 1 << 16


def audio_features(samples: Samples, sample_rate: int) -> dict[str, float]:
    """Loudness (RMS, dB of full scale), spectral centroid and spread (Hz), duration (s) of float32 [n].

    The spectrum is the mean of at most 64 frames spread evenly over the sound.
    """
    blocks = (samples[i : i + _BLOCK] for i in range(0, len(samples), _BLOCK))
    rms = float(np.sqrt(sum(float(np.dot(block, block)) for block in blocks) / len(samples)))
    starts = np.unique(np.linspace(0, max(0, len(samples) - _FFT), _FRAMES).astype(int))
    frames = np.stack([_frame(samples, start) for start in starts]) * np.hanning(_FFT).astype(np.float32)
    power = np.square(np.abs(scipy.fft.rfft(frames)).astype(np.float64)).mean(axis=0)
    hz = np.arange(len(power)) * (sample_rate / _FFT)
    total = float(power.sum())
    centroid = float((power * hz).sum() / total) if total > 0 else 0.0
    spread = float(np.sqrt((power * (hz - centroid) ** 2).sum() / total)) if total > 0 else 0.0
    return {
        "loudness_dbfs": max(_SILENCE_DBFS, 20 * float(np.log10(rms))) if rms > 0 else _SILENCE_DBFS,
        "bandwidth_hz": spread,
        "centroid_hz": centroid,
        "duration_seconds": len(samples) / sample_rate,
    }


def image_features(pixels: Pixels) -> dict[str, float]:
    """Brightness (mean) and contrast (standard deviation), 0 to 1, and the size in pixels."""
    mean, deviation = _moments(pixels)
    return {
        "brightness": mean,
        "contrast": deviation,
        "width": float(pixels.shape[1]),
        "height": float(pixels.shape[0]),
    }


def _frame(samples: Samples, start: int) -> Samples:
    frame = samples[start : start + _FFT]
    return frame if len(frame) == _FFT else np.pad(frame, (0, _FFT - len(frame)))


def _moments(pixels: Pixels) -> tuple[float, float]:
    """Mean and standard deviation from the histogram, so that no float copy of a large picture is made."""
    flat = pixels.reshape(-1)
    counts = np.zeros(256)
    for start in range(0, len(flat), _BLOCK):
        counts += np.bincount(flat[start : start + _BLOCK], minlength=256)
    levels = np.arange(256) / 255
    mean = float((counts * levels).sum() / counts.sum())
    return mean, float(np.sqrt((counts * (levels - mean) ** 2).sum() / counts.sum()))
