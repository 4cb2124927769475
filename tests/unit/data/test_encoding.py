from __future__ import annotations

import numpy as np
import pytest

from services.data.encoding import FORMATS, encode_sound
from services.media.audio import decode_audio
from services.media.sniff import sniff

TONE = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_sound_comes_back(media_type: str) -> None:
    data = encode_sound(TONE, 16_000, media_type)
    sound = decode_audio(data)
    assert sniff(data) == media_type
    assert sound.sample_rate == 16_000
    assert len(sound.samples) == pytest.approx(16_000, abs=10)
    assert np.abs(np.fft.rfft(sound.samples)).argmax() == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("media_type", FORMATS)
def test_equal_sounds_give_equal_bytes(media_type: str) -> None:
    assert encode_sound(TONE, 16_000, media_type) == encode_sound(TONE, 16_000, media_type)
