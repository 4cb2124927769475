"""Inputs of the log as pictures for a page: a picture as it is, a sound as its spectrogram."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime

from services.common.errors import NotFound, RookeryError
from services.media.sniff import AUDIO_TYPES, sniff
from services.monitor.archive import Archive

_MOST_BYTES = 256 << 10
_MOST_SOUND_BYTES = 8 << 20
_SIDE = 320


def picture_of(archive: Archive, digest: str, at: datetime) -> str:
    """A `data:` address that shows an input; empty when it was not kept or cannot be shown."""
    try:
        data = archive.get_input(digest, at)
        kind = sniff(data)
        if kind in ("png", "jpeg") and len(data) <= _MOST_BYTES:
            return _address(data, kind)
        return _drawn(data, kind)
    except (NotFound, RookeryError, ImportError, OSError, ValueError):
        return ""


def _drawn(data: bytes, kind: str) -> str:
    if kind in AUDIO_TYPES:
        if len(data) > _MOST_SOUND_BYTES:
            return ""
        from services.media.audio import decode_audio
        from services.media.spectrogram import spectrogram_png, view_of

        sound = decode_audio(data)
        return _address(spectrogram_png(sound.samples, view_of(sound.sample_rate, 96), height=128), "png")
    if kind in ("png", "jpeg"):
        import io

        from PIL import Image

        from services.media.image import decode_image

        picture = Image.fromarray(decode_image(data))
        picture.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        picture.save(file, format="PNG")
        return _address(file.getvalue(), "png")
    return ""


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
