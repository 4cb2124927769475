from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidInput, RookeryError, TooLarge, UnsupportedMedia
from services.media.audio import decode_audio, decode_samples, resample
from services.media.limits import MediaLimits
from tests.support.media import encode, npy, png, tone, wav_header

FORMATS = [("WAV", "PCM_16", 1e-4), ("WAV", "FLOAT", 0), ("FLAC", "PCM_24", 1e-6), ("OGG", "VORBIS", 0.1)]


@pytest.mark.parametrize(("container", "subtype", "tolerance"), FORMATS)
def test_the_sound_comes_back(container: str, subtype: str, tolerance: float) -> None:
    sound = decode_audio(encode(tone(), 16_000, container, subtype))
    assert sound.sample_rate == 16_000
    assert sound.samples.dtype == np.float32
    assert sound.duration == 1.0
    np.testing.assert_allclose(sound.samples, tone(), atol=tolerance)


@pytest.mark.parametrize(("container", "subtype"), [("OGG", "OPUS"), ("MP3", None)])
def test_lossy_sounds_keep_length_and_loudness(container: str, subtype: str | None) -> None:
    sound = decode_audio(encode(tone(1.0, 48_000), 48_000, container, subtype))
    assert sound.duration == pytest.approx(1.0, abs=0.01)
    assert np.sqrt(np.mean(sound.samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_channels_are_mixed_to_their_mean() -> None:
    stereo = np.stack([tone(), np.zeros(16_000, np.float32)], axis=1)
    np.testing.assert_allclose(
        decode_audio(encode(stereo, 16_000, "WAV", "FLOAT")).samples, tone() / 2, atol=1e-7
    )


def test_bounds_are_the_limits_given() -> None:
    data = encode(tone(2.0), 16_000)
    for limits, named in [
        (MediaLimits(max_seconds=1.0), "too long"),
        (MediaLimits(max_frames=100), "too many samples"),
        (MediaLimits(max_bytes=100), "too large"),
    ]:
        with pytest.raises(TooLarge, match=named):
            decode_audio(data, limits)


def test_a_picture_is_no_sound() -> None:
    with pytest.raises(UnsupportedMedia, match="a sound was expected, and this is png"):
        decode_audio(png(np.zeros((4, 4), np.uint8)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20])
def test_values_that_are_no_sound_are_refused(bad: float) -> None:
    samples = tone()
    samples[500] = bad
    with pytest.raises(InvalidInput, match=r"finite|full scale"):
        decode_audio(encode(samples, 16_000, "WAV", "FLOAT"))
    with pytest.raises(InvalidInput, match=r"finite|full scale"):
        decode_samples(npy(samples), 16_000)


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", None), ("OGG", "VORBIS"), ("MP3", None)]
)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_file_is_refused(container: str, subtype: str | None, kept: float) -> None:
    data = encode(tone(4.0), 16_000, container, subtype)
    with pytest.raises((InvalidInput, UnsupportedMedia), match=r"cut off|cannot be decoded"):
        decode_audio(data[: int(len(data) * kept)])


def test_a_flac_stream_of_unknown_or_absurd_length_is_refused() -> None:
    data = bytearray(encode(tone(), 16_000, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    with pytest.raises(InvalidInput, match="how long"):
        decode_audio(bytes(data))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    with pytest.raises(TooLarge, match="too long"):
        decode_audio(bytes(data))


def test_samples_in_npy_are_mono_floats() -> None:
    np.testing.assert_array_equal(decode_samples(npy(tone().astype(np.float64)), 16_000).samples, tone())
    with pytest.raises(UnsupportedMedia, match="one-dimensional"):
        decode_samples(npy(np.zeros((2, 2), np.float32)), 16_000)
    with pytest.raises(InvalidInput, match="no samples"):
        decode_samples(npy(np.zeros(0, np.float32)), 16_000)


@pytest.mark.parametrize(
    ("source", "target"), [(48_000, 32_000), (44_100, 32_000), (22_050, 32_000), (16_000, 16_000)]
)
def test_resampling_keeps_length_and_pitch(source: int, target: int) -> None:
    result = resample(tone(1.0, source), source, target)
    assert result.dtype == np.float32
    assert len(result) == target
    middle = slice(target // 4, 3 * target // 4)
    np.testing.assert_allclose(result[middle], tone(1.0, target)[middle], atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8), st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]))
def test_damaged_files_give_finite_samples_or_a_refusal(place: int, damage: bytes, container: str) -> None:
    data = bytearray(encode(tone(0.3), 16_000, container))
    place = min(place, len(data) - 1)
    data[place : place + len(damage)] = damage
    try:
        assert np.isfinite(decode_audio(bytes(data)).samples).all()
    except RookeryError as error:
        assert 400 <= error.status < 500


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.sampled_from([8, 16, 24, 32]),
    st.integers(0, 2**32 - 1),
)
def test_any_claims_of_a_header_are_survived(channels: int, rate: int, bits: int, claimed: int) -> None:
    if channels * bits // 8 > 65535:
        channels = 65535 * 8 // bits
    try:
        decode_audio(wav_header(channels=channels, rate=rate, bits=bits, claimed=claimed, body=bytes(64)))
    except RookeryError as error:
        assert 400 <= error.status < 500
