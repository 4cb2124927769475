"""What the header of a WAV file claims, read without a decoder.

Format: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991), RIFF and WAVE.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from services.common.errors import UnsupportedMedia

_MAX_CHUNKS = 1000


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
        UnsupportedMedia: no format or data chunk where they must be.
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
            _, channels, rate, _, align, _ = struct.unpack_from("<HHIIHH", data, body)
            form = (channels, rate, align)
        if name == b"data":
            if form is None:
                break
            channels, rate, align = form
            if align == 0:
                raise UnsupportedMedia("the WAV header says that a frame of sound has 0 bytes")
            return WavHeader(channels, rate, size // align, min(size, len(data) - body) // align)
        position = body + size + (size & 1)
    raise UnsupportedMedia("this WAV file has no complete format and data chunks; it may be cut off")
