from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from services.media.spectrogram import spectrogram_png
from tests.support.media import SMALL_AUDIO, tone


def test_a_low_tone_is_bright_below_and_a_high_one_above() -> None:
    for hz, upper in ((300.0, False), (6_000.0, True)):
        picture = np.asarray(Image.open(io.BytesIO(spectrogram_png(tone(hz=hz), SMALL_AUDIO))).convert("L"))
        rows = picture.mean(axis=1)
        assert picture.shape == (192, 101)
        assert bool(rows.argmax() < 96) is upper


@pytest.mark.parametrize("seconds", [0.001, 60.0])
def test_any_length_has_a_bounded_picture(seconds: float) -> None:
    picture = Image.open(io.BytesIO(spectrogram_png(tone(seconds), SMALL_AUDIO)))
    assert 1 <= picture.width <= 2_000
