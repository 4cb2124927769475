"""Inputs for those who label: kept, shown under signed addresses, and nothing else."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from services.common.errors import NotFound, Refused, UnsupportedMedia
from services.labels.media import Media
from services.media.image import decode_image
from tests.support.bundles import tone_wav
from tests.support.labelling import NOON, Log, shifted_png
from tests.support.media import npy, npy_claiming, tone


def kept(folder: Path, data: bytes) -> tuple[Media, str, str]:
    """Where inputs are kept, the digest of what is shown, and its media type."""
    log = Log(folder / "log")
    (digest,) = log.serve([(data, "1")])
    media = Media(folder / "inputs", b"k" * 32)
    shown, media_type = media.keep(log.archive(), digest, NOON)
    return media, shown, media_type


def test_a_picture_and_its_address(tmp_path: Path) -> None:
    data = shifted_png(1)[0]
    media, digest, media_type = kept(tmp_path, data)
    assert (media_type, media.read(digest)) == ("png", (data, "png"))
    links = media.links("http://here/", digest, media_type)
    assert list(links) == ["input"]
    address, _, signature = links["input"].partition("?signature=")
    assert address == f"http://here/media/{digest}"
    media.check(digest, signature)
    with pytest.raises(NotFound):
        media.spectrogram(digest)


@pytest.mark.parametrize("signature", ["", "0" * 32, "é"])
def test_a_forged_address_is_refused(tmp_path: Path, signature: str) -> None:
    media, digest, _ = kept(tmp_path, shifted_png(2)[0])
    with pytest.raises(Refused):
        media.check(digest, signature)
    with pytest.raises(Refused):
        media.check(hashlib.sha256(b"another").hexdigest(), media.sign(digest))


def test_a_sound_has_a_picture(tmp_path: Path) -> None:
    media, digest, media_type = kept(tmp_path, tone_wav(900.0, 1.0))
    assert set(media.links("http://here", digest, media_type)) == {"input", "spectrogram"}
    assert media.spectrogram(digest).startswith(b"\x89PNG")
    assert media.spectrogram(digest) == media.spectrogram(digest)


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(64, dtype=np.uint8).reshape(8, 8),
        np.asfortranarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)),
        np.arange(64, dtype=np.uint8).reshape(8, 8, 1),
    ],
)
def test_pixels_without_a_file_format_are_shown_as_a_picture_that_loses_nothing(
    tmp_path: Path, pixels: npt.NDArray[np.uint8]
) -> None:
    media, shown, media_type = kept(tmp_path, npy(pixels))
    data = media.read(shown)[0]
    assert (media_type, hashlib.sha256(data).hexdigest()) == ("png", shown)
    assert np.array_equal(decode_image(data), pixels.squeeze())


@pytest.mark.parametrize(
    "data",
    [
        *(npy(tone()), npy(np.zeros((8, 8), np.uint8)), npy(np.zeros((4, 4, 7), np.uint8))),
        *(npy_claiming("(99999, 99999)", "|u1"), b"<html><script>alert(1)</script>", b""),
    ],
)
def test_what_people_cannot_be_shown(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        kept(tmp_path, data)


def test_a_picture_is_not_larger_than_any_other_input(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (3344, 3344, 3), np.uint8)
    with pytest.raises(UnsupportedMedia, match="too large"):
        kept(tmp_path, npy(noise))


def test_what_the_log_has_not_kept_or_not_as_it_was(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    media = Media(tmp_path / "inputs", b"k" * 32)
    with pytest.raises(NotFound):
        media.keep(log.archive(), "a" * 64, NOON)
    log.objects.put(f"inputs/{NOON.date().isoformat()}/{'a' * 64}", shifted_png(3)[0])
    with pytest.raises(NotFound):
        media.keep(log.archive(), "a" * 64, NOON)


def test_an_input_that_arrived_after_midnight_is_found(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    (digest,) = log.serve([shifted_png(4)], at=NOON)
    media = Media(tmp_path / "inputs", b"k" * 32)
    assert media.keep(log.archive(), digest, NOON - timedelta(days=1)) == (digest, "png")


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "", "a" * 63])
def test_no_name_leads_elsewhere(tmp_path: Path, digest: str) -> None:
    with pytest.raises(NotFound):
        Media(tmp_path, b"k" * 32).read(digest)
