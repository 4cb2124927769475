from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import UnsupportedMedia
from services.media.sniff import READABLE, sniff
from tests.support.media import encode, jpeg, npy, png, tone

SOUND, PICTURE = tone(0.2), np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode(SOUND, 16_000), "wav"),
        (encode(SOUND, 16_000, "OGG", "VORBIS"), "ogg"),
        (encode(SOUND, 16_000, "OGG", "OPUS"), "ogg"),
        (encode(SOUND, 16_000, "FLAC"), "flac"),
        (encode(SOUND, 16_000, "MP3"), "mp3"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "mp3"),
        (png(PICTURE), "png"),
        (jpeg(PICTURE), "jpeg"),
        (npy(PICTURE), "npy"),
    ],
)
def test_each_readable_type_is_known_by_its_content(data: bytes, expected: str) -> None:
    assert sniff(data) == expected


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"GIF89a....", "GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n <?xml version='1.0'?><svg/>", "SVG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"RIFF\0\0\0\0AVI LIST", "RIFF"),
        (b"\x1a\x45\xdf\xa3....", "WebM"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"PK\x03\x04....", "zip"),
        (b"\x80\x04\x95....", "pickle"),
        (b"%PDF-1.7", "PDF"),
        (b"no idea what this is", "unknown"),
    ],
)
def test_other_types_are_refused_by_name(data: bytes, named: str) -> None:
    with pytest.raises(UnsupportedMedia, match=named) as caught:
        sniff(data)
    assert caught.value.allowed == READABLE


def test_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedMedia, match="empty"):
        sniff(b"")


@given(st.binary(max_size=64))
def test_any_bytes_get_a_type_or_a_refusal(data: bytes) -> None:
    try:
        assert sniff(data) in READABLE
    except UnsupportedMedia as error:
        assert error.status == 415
