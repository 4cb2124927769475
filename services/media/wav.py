"""What the header of a WAV file claims, read without a decoder.

Format: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991), RIFF and WAVE.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from services.common.errors import InvalidInput, UnsupportedMedia

_MAX_CHUNKS = 1000
_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


@dataclass(frozen=True)
class WavHeader:
    """Claims of a header: `frames` are promised, `held` are those that the bytes have room for."""

    channels: int
    sample_rate: int
    frames: int
    held: int


def read_wav_header(data: bytes) -> WavHeader:
    """Walks the chunks up to `data`.

    Raises:
        InvalidInput: no format or data chunk where they must be.
        UnsupportedMedia: a coding other than plain samples, A-law or mu-law.
    """
    position, form = 12, None
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        name, size = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        body = position + 8
        if name == b"fmt " and size >= 16 and body + 16 <= len(data):
            form = _format(data, body, size)
        if name == b"data":
            if form is None:
                break
            channels, rate, align = form
            return WavHeader(channels, rate, size // align, min(size, len(data) - body) // align)
        position = body + size + (size & 1)
    raise InvalidInput("this WAV file has no complete format and data chunks; it may be cut off")


def _format(data: bytes, body: int, size: int) -> tuple[int, int, int]:
    """Channels, sample rate, and bytes of one frame."""
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", data, body)
    if tag == _EXTENSIBLE and size >= 26 and body + 26 <= len(data):
        tag = int.from_bytes(data[body + 24 : body + 26], "little")
    if tag not in (_PCM, _FLOAT, _A_LAW, _MU_LAW):
        raise UnsupportedMedia(
            "the WAV file has a coding that is not read here", value=tag, allowed="PCM, float, A-law, mu-law"
        )
    if align == 0 or align != channels * ((bits + 7) // 8):
        raise UnsupportedMedia(
            "the WAV header contradicts itself", value=f"{channels} channels of {bits} bits in {align} bytes"
        )
    return channels, rate, align
