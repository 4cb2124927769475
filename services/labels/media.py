"""Inputs for the people who label: kept under their digest, shown under signed addresses."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import datetime
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path

from PIL import Image

from services.common.errors import NotFound, Refused, UnsupportedMedia
from services.common.files import replacing
from services.data.checks import check_bytes
from services.data.dataset import AUDIO_TYPES
from services.media.audio import decode_audio
from services.media.image import decode_image
from services.media.limits import MediaLimits
from services.media.sniff import sniff
from services.media.spectrogram import spectrogram_png, view_of
from services.monitor.archive import Archive

CONTENT_TYPES = {
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "png": "image/png",
    "jpeg": "image/jpeg",
}
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Media:
    """The inputs of tasks, in a folder of this service: the log may forget them, people may still look.

    Args:
        key: signs addresses; whoever has an address may see that input and no other.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self.folder = folder
        self._key = key

    def keep(self, archive: Archive, digest: str, at: datetime) -> tuple[str, str]:
        """Fetch an input of the log and keep it; the digest and media type of what people are shown.

        Pixels that came as .npy are kept as the PNG with the same pixels. Samples that did are refused: no rate is in
        the file, and only the model that answered knew it.

        Raises:
            NotFound: the log has not kept it.
            UnsupportedMedia: nobody can look at it, or learn from it.
            Unavailable: the store is away.
        """
        found = self._path(digest)
        if found is not None:
            return digest, found.suffix[1:]
        data = archive.get_input(digest, at)
        shown, media_type = digest, sniff(data)
        if media_type == "npy":
            data, media_type = _as_png(data), "png"
            shown = hashlib.sha256(data).hexdigest()
        check = check_bytes(data, MediaLimits())
        if check.fault:
            raise UnsupportedMedia(f"the input is {check.fault}: {check.detail}", value=digest)
        path = self.folder / shown[:2] / f"{shown}.{media_type}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, 0o600) as file:
            file.write(data)
        return shown, media_type

    def read(self, digest: str) -> tuple[bytes, str]:
        """The bytes of an input and its media type.

        Raises:
            NotFound: it belongs to no task.
        """
        path = self._path(digest)
        if path is None:
            raise NotFound("no task has this input", value=digest)
        return path.read_bytes(), path.suffix[1:]

    def spectrogram(self, digest: str) -> bytes:
        """A picture of a sound, made once.

        Raises:
            NotFound: it belongs to no task, or is no sound.
        """
        data, media_type = self.read(digest)
        if media_type not in AUDIO_TYPES:
            raise NotFound("this input is no sound", value=digest)
        path = self.folder / digest[:2] / f"{digest}.spectrogram"
        if not path.exists():
            sound = decode_audio(data)
            with replacing(path, 0o600) as file:
                file.write(spectrogram_png(sound.samples, view_of(sound.sample_rate, 128)))
        return path.read_bytes()

    def sign(self, digest: str) -> str:
        """The signature of an input's address: keyed BLAKE2b (RFC 7693)."""
        return blake2b(digest.encode(), key=self._key[:64], digest_size=16).hexdigest()

    def check(self, digest: str, signature: str) -> None:
        """Raises Refused when the signature is not that of the address."""
        if not compare_digest(self.sign(digest).encode(), signature.encode(errors="replace")):
            raise Refused("this address was not given out here", value=digest)

    def links(self, public_url: str, digest: str, media_type: str) -> dict[str, str]:
        """Addresses for a browser: of the input, and of the spectrogram of a sound."""
        start, end = f"{public_url.rstrip('/')}/media/{digest}", f"?signature={self.sign(digest)}"
        found = {"input": f"{start}{end}"}
        if media_type in AUDIO_TYPES:
            found["spectrogram"] = f"{start}/spectrogram{end}"
        return found

    def _path(self, digest: str) -> Path | None:
        if not _DIGEST.fullmatch(digest):
            return None
        folder = self.folder / digest[:2]
        names = (folder / f"{digest}.{media_type}" for media_type in CONTENT_TYPES)
        return next((path for path in names if path.exists()), None)


def _as_png(data: bytes) -> bytes:
    """The PNG of pixels in a .npy file, lossless."""
    out = io.BytesIO()
    Image.fromarray(decode_image(data, MediaLimits())).save(out, format="PNG")
    return out.getvalue()
