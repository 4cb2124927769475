from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.bundle.manifest import ImagePreprocessing
from services.common.errors import InvalidInput, RookeryError, TooLarge, UnsupportedMedia
from services.media.image import decode_image, fit_image
from services.media.limits import MediaLimits
from tests.support.media import DIGITS, encode, jpeg, npy, png, tone

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 255, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_pixels_come_back_from_png_and_npy(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_image(png(pixels)), pixels)
    np.testing.assert_array_equal(decode_image(npy(pixels)), pixels)


def test_jpeg_is_near() -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    assert np.abs(decode_image(jpeg(smooth, quality=95)).astype(int) - smooth).max() < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rows, columns = np.mgrid[0:16, 0:32]
    upright = np.where(rows < 8, 220, np.where(columns < 16, 100, 20)).astype(np.uint8)
    inverse = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }
    found = decode_image(png(np.ascontiguousarray(inverse[orientation]), exif=exif))
    np.testing.assert_array_equal(found, upright)


def test_transparent_parts_become_white() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    found = decode_image(png(pixels))
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[1, 1].tolist() == [255, 255, 255]
    out = io.BytesIO()
    grey = Image.new("LA", (2, 2), (7, 0))
    grey.save(out, "PNG")
    assert decode_image(out.getvalue()).tolist() == [[255, 255], [255, 255]]


@pytest.mark.parametrize(
    ("mode", "shape"), [("1", (4, 6)), ("P", (4, 6, 3)), ("CMYK", (4, 6, 3)), ("I;16", (4, 6))]
)
def test_other_modes_become_grey_or_colour(mode: str, shape: tuple[int, ...]) -> None:
    out = io.BytesIO()
    Image.new(mode, (6, 4)).save(out, "JPEG" if mode == "CMYK" else "PNG")
    found = decode_image(out.getvalue())
    assert (found.shape, found.dtype) == (shape, np.uint8)


def test_sixteen_bits_become_eight() -> None:
    out = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16)).save(out, "PNG")
    assert decode_image(out.getvalue()).tolist() == [[0, 0, 1, 255]]


@pytest.mark.parametrize("data", [png(RNG.integers(0, 255, (64, 64), dtype=np.uint8)), jpeg(COLOUR)])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7])
def test_a_cut_picture_is_refused(data: bytes, kept: float) -> None:
    with pytest.raises(UnsupportedMedia):
        decode_image(data[: max(9, int(len(data) * kept))])


def test_a_sound_is_no_picture() -> None:
    with pytest.raises(UnsupportedMedia, match="a picture was expected, and this is wav"):
        decode_image(encode(tone(), 16_000))


def test_bounds_are_the_limits_given() -> None:
    for data in (png(GREY), jpeg(GREY), npy(GREY)):
        with pytest.raises(TooLarge, match="pixels"):
            decode_image(data, MediaLimits(max_pixels=34))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(RookeryError):
        decode_image(npy(array))


def test_a_picture_of_the_right_size_is_only_normalised() -> None:
    pixels = RNG.integers(0, 255, (8, 8), dtype=np.uint8)
    np.testing.assert_allclose(fit_image(pixels, DIGITS)[0], (pixels / 255 - 0.5) / 0.5, atol=1e-6)


def test_the_centre_is_kept() -> None:
    pixels = np.zeros((8, 24), np.uint8)
    pixels[:, 8:16] = 255
    np.testing.assert_allclose(fit_image(pixels, DIGITS), 1.0, atol=1e-6)


def test_dark_strokes_on_bright_paper_are_inverted_and_others_are_not() -> None:
    p = DIGITS.model_copy(update={"invert": True})
    paper = np.full((8, 8), 255, np.uint8)
    paper[3:5, 3:5] = 0
    np.testing.assert_allclose(fit_image(paper, p), fit_image(255 - paper, p))


def test_channels_are_converted_and_normalised_one_by_one() -> None:
    p = ImagePreprocessing(height=4, width=6, channels=3, mean=[0.1, 0.2, 0.3], std=[1.0, 2.0, 4.0])
    found = fit_image(np.full((40, 60), 255, np.uint8), p)
    np.testing.assert_allclose(found[:, 0, 0], [0.9, 0.4, 0.175], atol=1e-6)
    assert found.shape == (3, 4, 6)
    assert fit_image(COLOUR, DIGITS).shape == (1, 8, 8)
    with pytest.raises(InvalidInput, match="each channel"):
        fit_image(COLOUR, p.model_copy(update={"mean": [0.1]}))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_any_size_fits_any_model(height: int, width: int, to_height: int, to_width: int) -> None:
    p = DIGITS.model_copy(update={"height": to_height, "width": to_width})
    found = fit_image(np.full((height, width), 51, np.uint8), p)
    np.testing.assert_allclose(found, np.full((1, to_height, to_width), -0.6), atol=1e-5)


@settings(max_examples=80, deadline=None)
@given(st.integers(8, 600), st.binary(min_size=1, max_size=6), st.booleans())
def test_damaged_pictures_give_pixels_or_a_refusal(place: int, damage: bytes, is_png: bool) -> None:
    data = bytearray(png(COLOUR) if is_png else jpeg(COLOUR))
    data[place : place + len(damage)] = damage
    try:
        assert decode_image(bytes(data)).dtype == np.uint8
    except RookeryError as error:
        assert 400 <= error.status < 500
