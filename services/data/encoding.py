"""Sounds as the bytes of a file, the same bytes each time."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

FORMATS = ("wav", "ogg", "flac")
_SUBTYPES = {"wav": "PCM_16", "ogg": "VORBIS", "flac": "PCM_16"}
_POLYNOMIAL = 0x04C11DB7


def encode_sound(samples: npt.NDArray[np.float64], sample_rate: int, media_type: str) -> bytes:
    """Mono samples in -1..1 as wav, ogg (Vorbis) or flac."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format=media_type.upper(), subtype=_SUBTYPES[media_type])
    data = file.getvalue()
    return _with_fixed_serial(data) if media_type == "ogg" else data


def _with_fixed_serial(data: bytes) -> bytes:
    """Ogg pages with the serial number 1 instead of a random one (RFC 3533, section 6)."""
    fixed = bytearray(data)
    at = 0
    while at < len(fixed):
        segments = fixed[at + 26]
        end = at + 27 + segments + sum(fixed[at + 27 : at + 27 + segments])
        fixed[at + 14 : at + 18] = (1).to_bytes(4, "little")
        fixed[at + 22 : at + 26] = bytes(4)
        fixed[at + 22 : at + 26] = _page_checksum(fixed[at:end]).to_bytes(4, "little")
        at = end
    return bytes(fixed)


def _checksum_table() -> list[int]:
    table = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_TABLE = _checksum_table()


def _page_checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value
