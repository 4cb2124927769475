"""Resampling and mel spectrogram of a 10 s clip beside librosa and torch, all on one thread, in one run.

    python tests/bench/bench_mel.py [--json]

Peers that are not installed are left out by name; librosa is in requirements/bench.txt. All compute the same power:
Slaney's filterbank, periodic Hann window, zeros beyond the ends. Calls of the peers alternate, and what
counts is the processor time of the process, so that neighbours on the machine change little.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from services.bundle.manifest import AudioPreprocessing
from services.media.audio import resample
from services.media.mel import LogMel, mel_filterbank
from services.media.presets import bird_preprocessing

SECONDS, SOURCE_RATE, ROUNDS = 10, 48_000, 60
USUAL = AudioPreprocessing(
    sample_rate=32_000,
    window_seconds=10,
    hop_seconds=10,
    n_fft=2048,
    hop_length=512,
    n_mels=128,
    fmin=0,
    fmax=16_000,
    mean=0,
    std=1,
)
Transform = Callable[[np.ndarray], np.ndarray]


def clip() -> np.ndarray:
    """Noise under chirps, float32 at 48 kHz."""
    rng = np.random.default_rng(7)
    time_axis = np.arange(SECONDS * SOURCE_RATE) / SOURCE_RATE
    chirps = 0.3 * np.sin(2 * np.pi * (2_000 * time_axis + 900 * np.sin(2 * np.pi * 3 * time_axis)))
    return (chirps + 0.05 * rng.standard_normal(len(time_axis))).astype(np.float32)


def peers(p: AudioPreprocessing) -> dict[str, tuple[Transform, Transform]]:
    """Name: (resampling to `p.sample_rate`, mel power)."""
    found: dict[str, tuple[Transform, Transform]] = {
        "rookery": (lambda x: resample(x, SOURCE_RATE, p.sample_rate), LogMel(p).power)
    }
    if importlib.util.find_spec("librosa"):
        found["librosa"] = _librosa(p)
    if importlib.util.find_spec("torch"):
        found["torch"] = _torch(p)
    return found


def _librosa(p: AudioPreprocessing) -> tuple[Transform, Transform]:
    import librosa

    settings = {"sr": p.sample_rate, "n_fft": p.n_fft, "hop_length": p.hop_length, "n_mels": p.n_mels}
    return (
        lambda x: librosa.resample(x, orig_sr=SOURCE_RATE, target_sr=p.sample_rate),
        lambda x: librosa.feature.melspectrogram(y=x, power=2.0, fmin=p.fmin, fmax=p.fmax, **settings),
    )


def _torch(p: AudioPreprocessing) -> tuple[Transform, Transform]:
    import torch

    torch.set_num_threads(1)
    window, weights = torch.hann_window(p.n_fft), torch.from_numpy(mel_filterbank(p))

    def mel(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            spectrum = torch.stft(
                torch.from_numpy(x),
                p.n_fft,
                p.hop_length,
                window=window,
                pad_mode="constant",
                return_complex=True,
            )
            return (weights @ (spectrum.real.square() + spectrum.imag.square())).numpy()

    return (lambda x: resample(x, SOURCE_RATE, p.sample_rate)), mel


def measure(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median milliseconds of processor time of each call."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(ROUNDS + 3):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            if turn >= 3:
                taken[name].append(1e3 * (time.process_time() - begin))
    return {name: statistics.median(values) for name, values in taken.items()}


def compare(title: str, p: AudioPreprocessing) -> list[dict[str, Any]]:
    """One row for each peer: milliseconds, how often slower than ours, and the difference of the mel power."""
    sound, found = clip(), peers(p)
    samples = resample(sound, SOURCE_RATE, p.sample_rate)
    ours = found["rookery"][1](samples)
    resampled = measure({n: (lambda f=f: f(sound)) for n, (f, _) in found.items()})
    mels = measure({n: (lambda g=g: g(samples)) for n, (_, g) in found.items()})
    both = measure({n: (lambda f=f, g=g: g(f(sound))) for n, (f, g) in found.items()})
    rows = []
    for name, (_, mel) in found.items():
        theirs = mel(samples)
        rows.append(
            {
                "settings": title,
                "peer": name,
                "resample_ms": resampled[name],
                "mel_ms": mels[name],
                "both_ms": both[name],
                "mel_ratio": mels[name] / mels["rookery"],
                "both_ratio": both[name] / both["rookery"],
                "max_difference": float(np.abs(theirs - ours).max() / ours.max()),
                "max_difference_db": float(np.abs(10 * np.log10((theirs + 1e-10) / (ours + 1e-10))).max()),
            }
        )
    return rows


def main() -> None:
    """Prints the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = compare("n_fft 2048, hop 512, 128 bands", USUAL) + compare(
        "our default for birds", bird_preprocessing()
    )
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        f"{SECONDS} s, {SOURCE_RATE} Hz to 32000 Hz, one thread, ms, median of {ROUNDS}; torch resamples with our soxr"
    )
    print(
        f"{'settings':32}{'peer':9}{'resample':>9}{'mel':>8}{'both':>8}{'x mel':>7}{'x both':>7}{'diff':>9}{'dB':>9}"
    )
    for row in rows:
        print(
            f"{row['settings']:32}{row['peer']:9}{row['resample_ms']:9.2f}{row['mel_ms']:8.2f}{row['both_ms']:8.2f}"
            f"{row['mel_ratio']:7.2f}{row['both_ratio']:7.2f}{row['max_difference']:9.1e}{row['max_difference_db']:9.1e}"
        )


if __name__ == "__main__":
    main()
