"""Which preprocessing a training uses: the hyperparameters where they say it, else what suits the data."""

from __future__ import annotations

import math

from services.bundle.manifest import AudioPreprocessing, ImagePreprocessing, Preprocessing
from services.common.errors import InvalidInput
from services.data.dataset import Dataset
from services.train.hyperparameters import Hyperparameters

_IMAGE_SIZE = 64
_HIGHEST_RATE = 32_000
_HIGHEST_BAND = 15_000.0
_SOUND_MIXUP = 0.2
_WINDOW_SECONDS = 5.0
_SHORTEST_WINDOW = 1.0


def resolve(hyper: Hyperparameters, dataset: Dataset) -> Hyperparameters:
    """The hyperparameters with every `auto` of the data replaced by its value.

    Raises:
        InvalidInput: the values do not fit each other, such as mel bands above half the sample rate.
    """
    found = dataset.defaults
    if dataset.kind == "image":
        size = hyper.image_size or int(found.get("height", _IMAGE_SIZE))
        return hyper.model_copy(
            update={"image_size": size, "mixup": 0.0 if hyper.mixup is None else hyper.mixup}
        )
    rate = hyper.sample_rate or min(int(found.get("sample_rate", _HIGHEST_RATE)), _HIGHEST_RATE)
    fmax = hyper.fmax or min(_HIGHEST_BAND, rate / 2)
    if not hyper.fmin < fmax <= rate / 2:
        raise InvalidInput(
            "fmin and fmax do not fit the sample rate",
            value=(hyper.fmin, fmax),
            allowed=f"0 to {rate / 2:g} Hz",
        )
    window = hyper.window_seconds or _window_seconds(dataset)
    hop = hyper.hop_seconds or window
    if hop > window:
        raise InvalidInput(
            "hop_seconds would leave gaps between the windows",
            value=hop,
            allowed=f"at most window_seconds, {window:g}",
        )
    return hyper.model_copy(
        update={
            "sample_rate": rate,
            "fmax": fmax,
            "window_seconds": window,
            "hop_seconds": hop,
            "mixup": _SOUND_MIXUP if hyper.mixup is None else hyper.mixup,
        }
    )


def _window_seconds(dataset: Dataset) -> float:
    """Five seconds, or what the median recording fills: a model that learned padding takes whole windows for novel."""
    median = float(dataset.defaults.get("seconds", 0)) or _WINDOW_SECONDS
    # Rounded to less than the tail that gets no window of its own, so that equal recordings make one window each.
    return min(_WINDOW_SECONDS, max(_SHORTEST_WINDOW, math.floor(median * 100) / 100))


def raw_preprocessing(hyper: Hyperparameters, dataset: Dataset) -> Preprocessing:
    """The preprocessing without normalisation (mean 0, deviation 1), for resolved hyperparameters."""
    if dataset.kind == "image":
        channels = 3 if dataset.defaults.get("channels", 3) == 3 else 1
        return ImagePreprocessing(
            height=hyper.image_size or _IMAGE_SIZE,
            width=hyper.image_size or _IMAGE_SIZE,
            channels=channels,
            mean=[0.0] * channels,
            std=[1.0] * channels,
            invert=bool(dataset.defaults.get("invert", False)),
        )
    assert hyper.sample_rate is not None and hyper.fmax is not None
    assert hyper.window_seconds is not None and hyper.hop_seconds is not None
    return AudioPreprocessing(
        sample_rate=hyper.sample_rate,
        window_seconds=hyper.window_seconds,
        hop_seconds=hyper.hop_seconds,
        n_fft=hyper.n_fft,
        hop_length=hyper.hop_length,
        n_mels=hyper.n_mels,
        fmin=hyper.fmin,
        fmax=hyper.fmax,
        mean=0.0,
        std=1.0,
    )


def normalised(raw: Preprocessing, mean: list[float], std: list[float]) -> Preprocessing:
    """The same preprocessing with the mean and deviation of the training split, for each channel."""
    if isinstance(raw, ImagePreprocessing):
        return raw.model_copy(update={"mean": mean, "std": std})
    return raw.model_copy(update={"mean": mean[0], "std": std[0]})
