from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.media.mel import LogMel, hz_to_mel, log_mel, mel_filterbank, mel_to_hz
from services.media.presets import bird_preprocessing
from tests.support.media import SMALL_AUDIO, tone


def plain_power(samples: np.ndarray, p: object) -> np.ndarray:
    """The definition, in double precision and without any of the shortcuts."""
    padded = np.pad(samples.astype(np.float64), (p.n_fft // 2, p.n_fft // 2 + 1))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(p.n_fft) / p.n_fft)
    count = 1 + len(samples) // p.hop_length
    frames = np.stack([padded[i * p.hop_length : i * p.hop_length + p.n_fft] * window for i in range(count)])
    return mel_filterbank(p).astype(np.float64) @ (np.abs(np.fft.rfft(frames)) ** 2).T


@pytest.mark.parametrize(
    "p",
    [
        SMALL_AUDIO,
        bird_preprocessing(),
        SMALL_AUDIO.model_copy(update={"n_fft": 2048, "hop_length": 512, "n_mels": 128}),
        SMALL_AUDIO.model_copy(update={"n_fft": 400, "hop_length": 401, "n_mels": 30}),
        SMALL_AUDIO.model_copy(update={"n_fft": 501, "hop_length": 16, "n_mels": 9, "fmin": 0.0}),
        SMALL_AUDIO.model_copy(update={"n_fft": 128, "n_mels": 512}),
    ],
)
@pytest.mark.parametrize("length", [1, 100, 511, 16_000, 33_333])
def test_power_is_the_definition(p: object, length: int) -> None:
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    expected = plain_power(samples, p)
    found = LogMel(p).power(samples)
    assert found.dtype == np.float32
    assert found.shape == (p.n_mels, LogMel(p).frames(length))
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(expected.max(), 1e-10), rtol=1e-4)


def test_the_scale_is_slaney_s() -> None:
    np.testing.assert_allclose(hz_to_mel([0, 200, 1000, 6400]), [0, 3, 15, 42], atol=1e-9)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel([10, 999, 1001, 15_000])), [10, 999, 1001, 15_000])


def test_each_band_has_the_same_area() -> None:
    p = SMALL_AUDIO.model_copy(update={"n_fft": 8192, "n_mels": 16})
    areas = mel_filterbank(p).sum(axis=1) * p.sample_rate / p.n_fft
    np.testing.assert_allclose(areas, 1.0, rtol=0.01)


def test_a_tone_lies_in_its_band() -> None:
    p = SMALL_AUDIO
    centres = mel_to_hz(np.linspace(hz_to_mel(p.fmin), hz_to_mel(p.fmax), p.n_mels + 2))[1:-1]
    for hz in (300.0, 1_000.0, 5_000.0):
        loudest = LogMel(p).power(tone(hz=hz)).sum(axis=1).argmax()
        assert abs(loudest - np.abs(centres - hz).argmin()) <= 1


def test_values_are_normalised_decibels() -> None:
    p = SMALL_AUDIO
    plain = LogMel(p.model_copy(update={"mean": 0.0, "std": 1.0}))(tone())
    np.testing.assert_allclose(LogMel(p)(tone()), (plain - p.mean) / p.std, atol=1e-4)
    silence = LogMel(p.model_copy(update={"mean": 0.0, "std": 1.0}))(np.zeros(16_000, np.float32))
    np.testing.assert_allclose(silence, -100.0, atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=2_000))
def test_the_mel_of_any_allowed_sound_is_finite(values: list[float]) -> None:
    assert np.isfinite(LogMel(SMALL_AUDIO)(np.array(values, np.float32))).all()


def test_one_object_serves_many_threads() -> None:
    transform = log_mel(SMALL_AUDIO)
    sounds = [tone(hz=hz) for hz in range(200, 4_000, 100)]
    alone = [transform(sound) for sound in sounds]
    with ThreadPoolExecutor(4) as pool:
        for expected, found in zip(alone, pool.map(transform, sounds), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_range_beyond_half_the_sample_rate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="fmax"):
        LogMel(SMALL_AUDIO.model_copy(update={"fmax": 9_000.0}))


def test_settings_make_one_object() -> None:
    assert log_mel(SMALL_AUDIO) is log_mel(SMALL_AUDIO.model_copy())
