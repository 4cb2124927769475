from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from services.bundle.manifest import ImagePreprocessing
from services.media.prepare import prepare
from services.serve.small import SmallPictures, is_small


def preprocessing(channels: int, invert: bool, height: int = 16, width: int = 16) -> ImagePreprocessing:
    mean, std = [0.3, 0.4, 0.5][:channels], [0.35, 0.2, 0.3][:channels]
    return ImagePreprocessing(
        height=height, width=width, channels=1 if channels == 1 else 3, mean=mean, std=std, invert=invert
    )


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", **options)
    return file.getvalue()


def npy(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.sampled_from([(16, 16), (8, 8), (12, 20)]),
)
def test_the_short_way_equals_the_usual_one(
    height: int, width: int, layers: int, channels: int, invert: bool, seed: int, size: tuple[int, int]
) -> None:
    shape = (height, width) if layers == 1 else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    p = preprocessing(channels, invert, *size)
    for data in [png(pixels), *([npy(pixels)] if layers == 1 else [])]:
        found = SmallPictures(p).tensor(data)
        assert found is not None
        np.testing.assert_array_equal(found, prepare(data, p).tensor)


def rotated(pixels: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return png(pixels, exif=exif)


def titled(pixels: np.ndarray) -> bytes:
    information = PngImagePlugin.PngInfo()
    information.add_text("Title", "x")
    return png(pixels, pnginfo=information)


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    "data",
    [
        rotated(GREY),
        titled(GREY),
        png(np.dstack([GREY] * 4)),
        png(GREY.astype(np.uint16) * 257),
        npy(GREY.T),
        npy(GREY.astype(np.float32)),
        npy(GREY)[:-1],
        npy(GREY)[:9],
        png(GREY)[:40],
        b"\x93NUMPY",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_usual_way(data: bytes) -> None:
    assert SmallPictures(preprocessing(1, True)).tensor(data) is None


def test_small_means_few_bytes_and_few_pixels() -> None:
    assert is_small(png(GREY))
    assert is_small(npy(GREY))
    assert not is_small(png(np.zeros((300, 300), np.uint8)))
    assert not is_small(b"\x89PNG\r\n\x1a\n" + bytes(20_000))
    assert not is_small(b"\xff\xd8\xff" + bytes(100))
