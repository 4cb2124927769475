"""Small plain pictures to tensors: the steps of `services.media` without their detours, and with equal results.

For 8 by 8 pixels the detours (pixels to an array and back, metadata, features) cost more than all the rest. A test
holds this against `services.media.prepare` bit for bit; whatever is not plain is left to it.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from services.bundle.manifest import ImagePreprocessing

SMALL_BYTES = 16 << 10
_SIDE = 256
_NPY_HEADER = 512
_PNG = b"\x89PNG\r\n\x1a\n"
_NPY = b"\x93NUMPY"
_SCALE = np.float32(1 / 255)


def is_small(body: bytes) -> bool:
    """Whether decoding is surely quick: few bytes and, for PNG, few pixels by its header; never for others."""
    if len(body) > SMALL_BYTES:
        return False
    if body.startswith(_PNG):
        width, height = int.from_bytes(body[16:20]), int.from_bytes(body[20:24])
        return width <= _SIDE and height <= _SIDE
    return body.startswith(_NPY)


class SmallPictures:
    """Turns the bytes of a small picture into float32 [1, channels, height, width]."""

    def __init__(self, p: ImagePreprocessing) -> None:
        self._mode = "L" if p.channels == 1 else "RGB"
        self._size = (p.width, p.height)
        self._shape = (p.height, p.width, p.channels)
        self._invert = p.invert
        self._mean, self._std = np.array(p.mean, np.float32), np.array(p.std, np.float32)

    def tensor(self, body: bytes, features: dict[str, float] | None = None) -> NDArray[np.float32] | None:
        """The tensor of bytes that are small by `is_small`; None if they are not plain enough or not readable.

        Args:
            features: filled, if given, with what `services.media.features.image_features` would say.
        """
        try:
            picture = _png(body) if body.startswith(_PNG) else _npy(body)
        except Exception:
            return None
        if picture is None:
            return None
        if features is not None:
            _measure(picture, features)
        return self._fit(picture)

    def _fit(self, picture: Image.Image) -> NDArray[np.float32]:
        if picture.mode != self._mode:
            picture = picture.convert(self._mode)
        (width, height), (to_width, to_height) = picture.size, self._size
        scale = min(width / to_width, height / to_height)
        left, top = (width - to_width * scale) / 2, (height - to_height * scale) / 2
        box = (max(left, 0.0), max(top, 0.0), min(width - left, width), min(height - top, height))
        fitted = picture.resize(self._size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
        values = np.frombuffer(fitted.tobytes(), np.uint8).astype(np.float32).reshape(self._shape)
        if self._invert and values.mean() > 127.5:
            values = 255.0 - values
        values = (values * _SCALE - self._mean) / self._std
        return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


def _measure(picture: Image.Image, features: dict[str, float]) -> None:
    values = np.frombuffer(picture.tobytes(), np.uint8).astype(np.float64)
    count = len(values)
    mean = float(np.add.reduce(values)) / count
    spread = max(0.0, float(values.dot(values)) / count - mean * mean)
    features["brightness"] = mean / 255
    features["contrast"] = math.sqrt(spread) / 255
    features["width"], features["height"] = map(float, picture.size)


def _png(body: bytes) -> Image.Image | None:
    picture = PngImagePlugin.PngImageFile(io.BytesIO(body))
    picture.load()
    plain = picture.mode in ("L", "RGB") and not picture.info
    return picture if plain else None


def _npy(body: bytes) -> Image.Image | None:
    start = 10 + int.from_bytes(body[8:10], "little")
    shape = _npy_shape(body[:start]) if start <= _NPY_HEADER else None
    if shape is None or shape[0] * shape[1] != len(body) - start or len(body) == start:
        return None
    return Image.frombytes("L", (shape[1], shape[0]), body[start:])


@lru_cache(maxsize=64)
def _npy_shape(header: bytes) -> tuple[int, int] | None:
    stream = io.BytesIO(header)
    if npy_format.read_magic(stream) != (1, 0):
        return None
    shape, fortran_order, dtype = npy_format.read_array_header_1_0(stream, max_header_size=_NPY_HEADER)
    plain = dtype == np.uint8 and len(shape) == 2 and not fortran_order and min(shape) > 0
    return (shape[0], shape[1]) if plain else None
