from __future__ import annotations

import pytest

from services.bundle.manifest import AudioPreprocessing, ImagePreprocessing
from services.common.errors import InvalidInput
from services.data.dataset import Dataset, make_dataset
from services.train.hyperparameters import Hyperparameters
from services.train.preprocessing import normalised, raw_preprocessing, resolve


def _dataset(kind: str, **defaults: int | float | bool) -> Dataset:
    return make_dataset("x", kind, "single-label", [], defaults=defaults)  # type: ignore[arg-type]


def test_auto_follows_the_pictures_and_a_given_value_wins() -> None:
    pictures = _dataset("image", height=16, width=16, channels=1, invert=True)
    found = resolve(Hyperparameters(), pictures)
    assert (found.image_size, found.mixup) == (16, 0.0)
    assert resolve(Hyperparameters(image_size=24, mixup=0.4), pictures).image_size == 24
    raw = raw_preprocessing(found, pictures)
    made = normalised(raw, [0.3], [0.2])
    assert isinstance(made, ImagePreprocessing)
    assert (made.height, made.channels, made.invert, made.mean, made.std) == (16, 1, True, [0.3], [0.2])


def test_auto_follows_the_recordings() -> None:
    sounds = _dataset("audio", sample_rate=48_000)
    found = resolve(Hyperparameters(window_seconds=3), sounds)
    assert (found.sample_rate, found.hop_seconds, found.fmax, found.mixup) == (32_000, 3, 15_000, 0.2)
    low = resolve(Hyperparameters(), _dataset("audio", sample_rate=16_000))
    assert (low.sample_rate, low.fmax) == (16_000, 8_000)
    made = normalised(raw_preprocessing(found, sounds), [-40.0], [20.0])
    assert isinstance(made, AudioPreprocessing)
    assert (made.mean, made.std, made.hop_seconds) == (-40.0, 20.0, 3)


@pytest.mark.parametrize(
    ("median", "window"), [(4.0, 4), (3.987, 3.98), (0.6, 1), (5.0, 5), (31.2, 5), (0, 5)]
)
def test_the_window_is_no_longer_than_the_usual_recording(median: float, window: float) -> None:
    sounds = _dataset("audio", sample_rate=16_000, seconds=median)
    found = resolve(Hyperparameters(), sounds)
    assert (found.window_seconds, found.hop_seconds) == (window, window)
    assert resolve(Hyperparameters(window_seconds=6), sounds).window_seconds == 6
    made = raw_preprocessing(found, sounds)
    assert isinstance(made, AudioPreprocessing) and made.window_seconds == window


def test_a_hop_that_leaves_gaps_is_refused() -> None:
    sounds = _dataset("audio", sample_rate=32_000)
    assert resolve(Hyperparameters(window_seconds=3, hop_seconds=3), sounds).hop_seconds == 3
    with pytest.raises(InvalidInput, match="gaps between the windows"):
        resolve(Hyperparameters(window_seconds=3, hop_seconds=4), sounds)


def test_bands_above_half_the_sample_rate_are_refused() -> None:
    with pytest.raises(InvalidInput, match="do not fit the sample rate"):
        resolve(Hyperparameters(fmax=15_000), _dataset("audio", sample_rate=16_000))
