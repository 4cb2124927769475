"""Log-mel spectrograms.

The filterbank is Slaney's (Auditory Toolbox, technical report 1998-010): linear to 1 kHz at 3 mel per 200 Hz,
above it 27 steps for each factor of 6.4, triangles of equal area. It is librosa's default.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from services.bundle.manifest import AudioPreprocessing
from services.common.errors import InvalidInput
from services.media.audio import Samples

_LINEAR_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0
_FLOOR = 1e-10
_BLOCK = 128
_BANDS_AT_ONCE = 8


def hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Slaney's mel scale."""
    f = np.asarray(hz, dtype=np.float64)
    above = _BREAK_MEL + np.log(np.maximum(f, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(f < _BREAK_HZ, f / _LINEAR_HZ_PER_MEL, above)


def mel_to_hz(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    m = np.asarray(mel, dtype=np.float64)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(m, _BREAK_MEL) - _BREAK_MEL))
    return np.where(m < _BREAK_MEL, m * _LINEAR_HZ_PER_MEL, above)


def mel_filterbank(p: AudioPreprocessing) -> npt.NDArray[np.float32]:
    """Weights of the FFT bins in each mel band, float32 [n_mels, n_fft // 2 + 1]."""
    edges = mel_to_hz(np.linspace(hz_to_mel(p.fmin), hz_to_mel(p.fmax), p.n_mels + 2))
    bins = np.arange(p.n_fft // 2 + 1) * (p.sample_rate / p.n_fft)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    return weights.astype(np.float32)


@dataclass(frozen=True)
class _Band:
    """A group of mel bands: `weights` float32 [rows, last - first] over real and imaginary parts in turn."""

    rows: slice
    first: int
    last: int
    weights: Samples


def _bands(filterbank: Samples) -> list[_Band]:
    bands = []
    for row in range(0, len(filterbank), _BANDS_AT_ONCE):
        weights = filterbank[row : row + _BANDS_AT_ONCE]
        used = np.flatnonzero(weights.any(axis=0))
        first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        repeated = np.repeat(weights[:, first:last], 2, axis=1)
        bands.append(_Band(slice(row, row + len(weights)), 2 * first, 2 * last, repeated))
    return bands


def _hann(length: int) -> Samples:
    """Periodic Hann window."""
    window: Samples = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    return window


def _padded(samples: Samples, n_fft: int) -> Samples:
    """Half a frame of zeros before and after; `np.zeros` would write everything twice."""
    first, last = n_fft // 2, n_fft // 2 + len(samples)
    padded = np.empty(len(samples) + n_fft + n_fft % 2, np.float32)
    padded[:first] = 0
    padded[first:last] = samples
    padded[last:] = 0
    return padded


class LogMel:
    """Turns samples into normalised log-mel values; one object can be used from many threads.

    Frames are transformed in blocks that stay in the processor's cache. A mel band touches few FFT bins, so
    groups of neighbouring bands are multiplied only with the bins that they share. Squares of real and imaginary
    parts lie side by side and the weights are repeated to match: adding them is part of the multiplication.
    """

    def __init__(self, p: AudioPreprocessing) -> None:
        if not p.fmin < p.fmax <= p.sample_rate / 2:
            raise InvalidInput(
                "fmin and fmax do not fit the sample rate",
                value=(p.fmin, p.fmax),
                allowed=f"0 to {p.sample_rate / 2:g} Hz",
            )
        self.preprocessing = p
        self._window = _hann(p.n_fft)
        self._bands = _bands(mel_filterbank(p))

    def frames(self, samples: int) -> int:
        """Frames of a sound of so many samples: frames are centred on multiples of the hop."""
        return 1 + samples // self.preprocessing.hop_length

    def power(self, samples: Samples) -> Samples:
        """Mel power, float32 [n_mels, frames]; zeros are assumed before and after the sound."""
        p = self.preprocessing
        count = self.frames(len(samples))
        padded = _padded(samples, p.n_fft)
        frames = sliding_window_view(padded, p.n_fft)[:: p.hop_length][:count]
        result = np.empty((p.n_mels, count), np.float32)
        windowed = np.empty((min(_BLOCK, count), p.n_fft), np.float32)
        for start in range(0, count, _BLOCK):
            block = frames[start : start + _BLOCK]
            np.multiply(block, self._window, out=windowed[: len(block)])
            squares = scipy.fft.rfft(windowed[: len(block)], overwrite_x=True).view(np.float32)
            np.multiply(squares, squares, out=squares)
            for band in self._bands:
                bins = squares[:, band.first : band.last].T
                np.matmul(band.weights, bins, out=result[band.rows, start : start + len(block)])
        return result

    def __call__(self, samples: Samples) -> Samples:
        """Normalised decibels, float32 [n_mels, frames] of samples float32 [n]."""
        p = self.preprocessing
        values = self.power(samples)
        np.maximum(values, _FLOOR, out=values)
        np.log10(values, out=values)
        values *= np.float32(10.0 / p.std)
        values -= np.float32(p.mean / p.std)
        return values


@lru_cache(maxsize=8)
def log_mel(p: AudioPreprocessing) -> LogMel:
    """The LogMel of these settings, made once."""
    return LogMel(p)
