"""Log-mel spectrograms.

The filterbank is Slaney's (Auditory Toolbox, technical report 1998-010): linear to 1 kHz at 3 mel per 200 Hz,
above it 27 steps for each factor of 6.4, triangles of equal area. It is librosa's default.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from services.bundle.manifest import AudioPreprocessing
from services.common.errors import InvalidInput
from services.media.audio import Samples

_LINEAR_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0
_FLOOR = 1e-10


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


def _hann(length: int) -> Samples:
    """Periodic Hann window."""
    window: Samples = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    return window


class LogMel:
    """Turns samples into normalised log-mel values; one object can be used from many threads."""

    def __init__(self, p: AudioPreprocessing) -> None:
        if not p.fmin < p.fmax <= p.sample_rate / 2:
            raise InvalidInput(
                "fmin and fmax do not fit the sample rate",
                value=(p.fmin, p.fmax),
                allowed=f"0 to {p.sample_rate / 2:g} Hz",
            )
        self.preprocessing = p
        self._window = _hann(p.n_fft)
        self._weights = mel_filterbank(p).T.copy()

    def frames(self, samples: int) -> int:
        """Frames of a sound of so many samples: frames are centred on multiples of the hop."""
        return 1 + samples // self.preprocessing.hop_length

    def power(self, samples: Samples) -> Samples:
        """Mel power, float32 [n_mels, frames]; zeros are assumed before and after the sound."""
        p = self.preprocessing
        padded = np.pad(samples, p.n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, p.n_fft)[:: p.hop_length]
        spectrum = scipy.fft.rfft(frames * self._window, axis=-1)
        return np.ascontiguousarray(((spectrum.real**2 + spectrum.imag**2) @ self._weights).T)

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
