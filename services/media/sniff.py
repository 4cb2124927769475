"""What a file is, by its first bytes. Names and declared types are never believed."""

from __future__ import annotations

from services.common.errors import UnsupportedMedia

AUDIO_TYPES = ("wav", "ogg", "flac", "mp3")
IMAGE_TYPES = ("png", "jpeg")
READABLE = "wav, ogg, flac, mp3, png, jpeg, npy"

_PREFIXES = (
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x93NUMPY", "npy"),
    (b"ID3", "mp3"),
)
_NAMED_BUT_UNREAD = (
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (b"FORM", "an AIFF sound"),
    (b"RF64", "a 64-bit WAV sound"),
    (b"RIFX", "a big-endian WAV sound"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
)


def sniff(data: bytes) -> str:
    """The media type of a file's content: one of wav, ogg, flac, mp3, png, jpeg, npy.

    Raises:
        UnsupportedMedia: for anything else; the message says what it seems to be.
    """
    if not data:
        raise UnsupportedMedia("the file is empty", allowed=READABLE)
    for prefix, name in _PREFIXES:
        if data.startswith(prefix):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if _is_mp3_frame(data[:4]):
        return "mp3"
    raise UnsupportedMedia(f"this file is {_describe(data)}, which is not read here", allowed=READABLE)


def _is_mp3_frame(head: bytes) -> bool:
    """MPEG audio frame header (ISO/IEC 11172-3, 2.4.1.3): sync, layer III, possible bitrate and rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = (head[1] >> 3) & 3, (head[1] >> 1) & 3
    bitrate, rate = head[2] >> 4, (head[2] >> 2) & 3
    return version != 1 and layer == 1 and 0 < bitrate < 15 and rate != 3


def _describe(data: bytes) -> str:
    for prefix, name in _NAMED_BUT_UNREAD:
        if data.startswith(prefix):
            return name
    if data[:4] == b"RIFF":
        return "a WebP picture" if data[8:12] == b"WEBP" else "a RIFF file without sound"
    if data[4:8] == b"ftyp":
        return "an MP4, M4A or HEIC file"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype", b"<html")):
        return "an SVG, XML or HTML text"
    return "of an unknown kind"
