from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput, RookeryError, UnsupportedMedia
from services.media.wav import read_wav_header
from tests.support.media import encode, tone, wav_header


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_headers_of_real_files_are_read(subtype: str, container: str) -> None:
    header = read_wav_header(encode(tone(0.5), 16_000, container, subtype))
    assert (header.channels, header.sample_rate, header.frames, header.held) == (1, 16_000, 8_000, 8_000)


def test_a_header_that_claims_more_than_the_file_has_is_seen() -> None:
    header = read_wav_header(wav_header(claimed=1000, body=bytes(100)))
    assert (header.frames, header.held) == (500, 50)


def test_compressed_codings_are_refused_before_a_decoder_sees_them() -> None:
    with pytest.raises(UnsupportedMedia, match="coding"):
        read_wav_header(encode(tone(0.5), 16_000, "WAV", "MS_ADPCM"))


@pytest.mark.parametrize("channels", [0, 3])
def test_a_header_that_contradicts_itself_is_refused(channels: int) -> None:
    data = bytearray(wav_header(channels=1, claimed=4, body=bytes(4)))
    data[22] = channels
    with pytest.raises(UnsupportedMedia, match="contradicts"):
        read_wav_header(bytes(data))


@pytest.mark.parametrize("cut", [12, 20, 36, 43])
def test_a_file_without_its_chunks_is_refused(cut: int) -> None:
    with pytest.raises(InvalidInput, match="cut off"):
        read_wav_header(wav_header(claimed=4, body=bytes(4))[:cut])


@given(st.binary(max_size=200))
def test_any_chunks_end_in_a_header_or_a_refusal(chunks: bytes) -> None:
    try:
        header = read_wav_header(b"RIFF\0\0\0\0WAVE" + chunks)
        assert header.held <= header.frames
    except RookeryError:
        pass
