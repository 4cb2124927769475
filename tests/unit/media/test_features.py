from __future__ import annotations

import numpy as np
import pytest

from services.media.features import audio_features, image_features
from tests.support.media import tone


def test_a_tone_has_its_pitch_and_loudness() -> None:
    found = audio_features(tone(2.0, hz=2_000), 16_000)
    assert found["centroid_hz"] == pytest.approx(2_000, rel=0.01)
    assert found["bandwidth_hz"] < 50
    assert found["loudness_dbfs"] == pytest.approx(-9.03, abs=0.05)
    assert found["duration_seconds"] == 2.0


def test_noise_is_broad() -> None:
    noise = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert audio_features(noise, 16_000)["bandwidth_hz"] == pytest.approx(8_000 / np.sqrt(12), rel=0.05)


@pytest.mark.parametrize("length", [1, 1023, 1024, 100_000])
def test_silence_and_short_sounds_are_finite(length: int) -> None:
    found = audio_features(np.zeros(length, np.float32), 16_000)
    assert found["loudness_dbfs"] == -120.0
    assert all(np.isfinite(value) for value in found.values())


def test_pictures_have_brightness_contrast_and_size() -> None:
    half = np.zeros((4, 6), np.uint8)
    half[:2] = 255
    assert image_features(half) == {"brightness": 0.5, "contrast": 0.5, "width": 6.0, "height": 4.0}
    assert image_features(np.full((2, 2, 3), 51, np.uint8))["brightness"] == pytest.approx(0.2)
