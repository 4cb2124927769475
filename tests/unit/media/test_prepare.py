from __future__ import annotations

import numpy as np
import pytest

from services.common.errors import TooLarge, UnsupportedMedia
from services.media.limits import MediaLimits
from services.media.mel import LogMel
from services.media.prepare import prepare
from services.media.presets import bird_preprocessing
from tests.support.media import DIGITS, SMALL_AUDIO, encode, npy, png, tone


def test_a_picture_is_one_window() -> None:
    found = prepare(png(np.full((20, 20), 255, np.uint8)), DIGITS)
    assert found.tensor.shape == (1, 1, 8, 8)
    assert (found.starts, found.duration) == ([0.0], 0.0)
    assert found.features["brightness"] == 1.0


def test_a_recording_is_a_row_of_windows() -> None:
    samples = np.concatenate([tone(1.0, hz=hz) for hz in (500, 1_500, 4_000)])
    found = prepare(encode(samples, 16_000, "WAV", "FLOAT"), SMALL_AUDIO)
    assert found.starts == [0.0, 1.0, 2.0]
    assert found.duration == 3.0
    assert found.tensor.dtype == np.float32
    for index, hz in enumerate((500, 1_500, 4_000)):
        np.testing.assert_allclose(found.tensor[index, 0], LogMel(SMALL_AUDIO)(tone(1.0, hz=hz)), atol=1e-5)


def test_a_short_recording_fills_one_window() -> None:
    found = prepare(encode(tone(0.2), 16_000), SMALL_AUDIO)
    assert found.tensor.shape == (1, 1, 32, 101)


def test_samples_in_npy_mean_the_same_as_a_file() -> None:
    file = prepare(encode(tone(), 16_000, "WAV", "FLOAT"), SMALL_AUDIO)
    np.testing.assert_array_equal(prepare(npy(tone()), SMALL_AUDIO).tensor, file.tensor)


def test_the_sample_rate_of_the_file_makes_little_difference() -> None:
    p = SMALL_AUDIO.model_copy(update={"fmax": 6_000.0})
    there = prepare(encode(tone(1.0, 44_100), 44_100, "WAV", "FLOAT"), p).tensor[0, 0]
    here = prepare(encode(tone(), 16_000, "WAV", "FLOAT"), p).tensor[0, 0]
    loud = here > here.max() - 1.5
    np.testing.assert_allclose(there[loud], here[loud], atol=0.05)


def test_ten_seconds_of_birds_are_two_windows() -> None:
    assert prepare(encode(tone(10.0, 48_000), 48_000), bird_preprocessing()).tensor.shape == (2, 1, 64, 251)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (MediaLimits(max_windows=2), "windows"),
        (MediaLimits(max_tensor_bytes=1_000), "spectrograms"),
        (MediaLimits(max_frames=40_000), "samples"),
    ],
)
def test_the_work_of_a_recording_is_bounded(limits: MediaLimits, named: str) -> None:
    with pytest.raises(TooLarge, match=named):
        prepare(encode(tone(6.0, 8_000), 8_000), SMALL_AUDIO, limits)


def test_the_wrong_kind_is_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="a picture was expected"):
        prepare(encode(tone(), 16_000), DIGITS)
    with pytest.raises(UnsupportedMedia, match="a sound was expected"):
        prepare(png(np.zeros((4, 4), np.uint8)), SMALL_AUDIO)
