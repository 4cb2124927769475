"""Pictures to pixels, and pixels to the tensor of a model."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, JpegImagePlugin, PngImagePlugin

from services.bundle.manifest import ImagePreprocessing
from services.common.errors import InvalidInput, RookeryError, TooLarge, UnsupportedMedia
from services.media.limits import DEFAULT_LIMITS, MediaLimits
from services.media.npy import parse_npy
from services.media.sniff import IMAGE_TYPES, sniff

Pixels = npt.NDArray[np.uint8]

_OPENERS = {"png": PngImagePlugin.PngImageFile, "jpeg": JpegImagePlugin.JpegImageFile}
_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, limits: MediaLimits = DEFAULT_LIMITS) -> Pixels:
    """Pixels of a PNG, JPEG or .npy file, upright: uint8 [height, width] or [height, width, 3].

    Transparent parts become white, 16-bit grey becomes 8-bit, an animation its first picture.

    Raises:
        UnsupportedMedia: no picture that can be read, or one that is cut off.
        TooLarge: more bytes or pixels than the limits; pixels are counted before they are decoded.
    """
    limits.check_size(data)
    media_type = sniff(data)
    if media_type == "npy":
        return _from_npy(data, limits)
    if media_type not in IMAGE_TYPES:
        raise UnsupportedMedia(f"a picture was expected, and this is {media_type}", allowed="png, jpeg, npy")
    try:
        return _plain(_upright(_opened(data, media_type, limits)))
    except RookeryError:
        raise
    except Exception as error:
        raise UnsupportedMedia(f"this {media_type} picture cannot be decoded: {error}") from error


def fit_image(pixels: Pixels, p: ImagePreprocessing) -> npt.NDArray[np.float32]:
    """The tensor of a picture, float32 [channels, height, width].

    The largest centred part with the shape of the model's input is resized to it (bilinear, antialiased).
    """
    if len(p.mean) != p.channels or len(p.std) != p.channels:
        raise InvalidInput("mean and std need one value for each channel", value=(p.mean, p.std))
    picture = Image.fromarray(pixels)
    wanted = "L" if p.channels == 1 else "RGB"
    if picture.mode != wanted:
        picture = picture.convert(wanted)
    width, height = picture.size
    scale = min(width / p.width, height / p.height)
    left, top = (width - p.width * scale) / 2, (height - p.height * scale) / 2
    box = (max(left, 0.0), max(top, 0.0), min(width - left, width), min(height - top, height))
    fitted = picture.resize((p.width, p.height), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    shape = (p.height, p.width, p.channels)
    values: npt.NDArray[np.float32] = np.asarray(fitted, dtype=np.float32).reshape(shape)
    if p.invert and values.mean() > 127.5:
        values = 255.0 - values
    mean, std = np.array(p.mean, np.float32), np.array(p.std, np.float32)
    values = (values * np.float32(1 / 255) - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _from_npy(data: bytes, limits: MediaLimits) -> Pixels:
    array = parse_npy(data, kinds="u")
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (1, 3))
    ):
        raise UnsupportedMedia(
            "a picture in a .npy file has another shape or type",
            value=(str(array.dtype), array.shape),
            allowed="uint8 [height, width] or [height, width, 1 or 3]",
        )
    _check_pixels(array.shape[1], array.shape[0], limits)
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _check_pixels(width: int, height: int, limits: MediaLimits) -> None:
    if width < 1 or height < 1:
        raise InvalidInput("the picture has no pixels", value=(width, height))
    if width * height > limits.max_pixels:
        raise TooLarge(
            "the picture has too many pixels",
            value=f"{width} x {height}",
            allowed=f"up to {limits.max_pixels:,}",
        )


def _upright(picture: Image.Image) -> Image.Image:
    method = _TRANSPOSE.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    return picture if method is None else picture.transpose(method)


def _opened(data: bytes, media_type: str, limits: MediaLimits) -> Image.Image:
    """Pillow's own `open` also guesses the format and has bounds of its own, which are not ours."""
    picture: Image.Image = _OPENERS[media_type](io.BytesIO(data))
    _check_pixels(*picture.size, limits)
    picture.load()
    return picture


def _plain(picture: Image.Image) -> Pixels:
    """Each step lets go of the picture before it, so that at most two copies are held."""
    if picture.mode.startswith("I"):
        return (np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8)
    grey = picture.mode in ("1", "L", "LA")
    if "transparency" in picture.info:
        picture = picture.convert("LA" if grey else "RGBA")
    clear = ImageChops.invert(picture.getchannel("A")) if picture.mode in ("LA", "PA", "RGBA") else None
    wanted = "L" if grey else "RGB"
    if picture.mode != wanted:
        picture = picture.convert(wanted)
    if clear is not None:
        picture.paste("white", mask=clear)
    return np.asarray(picture)
