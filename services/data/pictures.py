"""Invented pictures: for each class a shape of its own colour and grain, in many sizes, shades and positions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from colorsys import hsv_to_rgb
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("disc", "square", "triangle", "ring", "cross", "star", "stripes", "checks", "crescent", "dots")
_HUE_STEP = 0.3
_ORIENTATION = 0x0112
_TURNED_RIGHT = 6


@dataclass(frozen=True)
class Picture:
    """One generated picture: index of the class, file name and encoded bytes (PNG or JPEG)."""

    label: int
    name: str
    data: bytes


def pictures(classes: int, items: int, seed: int) -> Iterator[Picture]:
    """Pictures in turn by class. Two of three are JPEG, some on their side with an EXIF note of it."""
    for index in range(items):
        rng = np.random.default_rng([seed, index])
        label = index % classes
        picture = _draw(label, rng)
        number = index // classes
        if number % 3 == 0:
            yield Picture(label, f"{label}_{number}.png", _encode(picture, "PNG"))
        else:
            yield Picture(label, f"{label}_{number}.jpg", _jpeg(picture, on_its_side=number % 5 == 1))


def _jpeg(picture: Image.Image, on_its_side: bool) -> bytes:
    if not on_its_side:
        return _encode(picture, "JPEG")
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED_RIGHT
    return _encode(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif)


def _encode(picture: Image.Image, format_: str, exif: Image.Exif | None = None) -> bytes:
    file = io.BytesIO()
    if exif is None:
        picture.save(file, format=format_, quality=88)
    else:
        picture.save(file, format=format_, quality=88, exif=exif)
    return file.getvalue()


def _draw(label: int, rng: np.random.Generator) -> Image.Image:
    """A grained shape, two fifths to three quarters of the shorter side, on noise of any other colour."""
    width, height = (int(side) for side in rng.integers(56, 136, size=2))
    ground = rng.integers(10, 90, size=3)
    coarse = rng.normal(0, 24, size=(8, 8, 1)) * np.ones(3)
    texture = Image.fromarray(np.clip(coarse + ground, 0, 255).astype(np.uint8)).resize((width, height))
    pixels = np.asarray(texture).astype(np.float64) + rng.normal(0, 9, size=(height, width, 3))
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    side = int(min(width, height) * rng.uniform(0.4, 0.75))
    stencil = Image.new("L", (side, side))
    _SHAPERS[SHAPES[label]](ImageDraw.Draw(stencil), side)
    stencil = stencil.rotate(float(rng.uniform(-12, 12)), resample=Image.Resampling.BILINEAR)
    at = (int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1)))
    picture.paste(_grain(label, side, rng), at, stencil)
    return picture


def _grain(label: int, side: int, rng: np.random.Generator) -> Image.Image:
    """What the shapes of a class are made of: about its colour, with waves of about its width and direction."""
    hue = (label * _HUE_STEP + rng.normal(0, 0.02)) % 1.0
    colour = 255 * np.array(hsv_to_rgb(hue, rng.uniform(0.4, 0.75), rng.uniform(0.85, 1.0)))
    angle = np.pi * label / len(SHAPES) + rng.normal(0, 0.1)
    waves = (3 + label % 3 * 2) * rng.uniform(0.9, 1.1)
    rows, columns = np.mgrid[0:side, 0:side] / side
    phase = 2 * np.pi * waves * (rows * np.sin(angle) + columns * np.cos(angle)) + rng.uniform(0, 2 * np.pi)
    shade = 0.85 + 0.15 * np.sin(phase)
    return Image.fromarray((shade[:, :, None] * colour).astype(np.uint8))


def _disc(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0, 0, side - 1, side - 1), fill=255)


def _square(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.rectangle((side * 0.08, side * 0.08, side * 0.92, side * 0.92), fill=255)


def _triangle(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.polygon([(side / 2, 0), (side, side), (0, side)], fill=255)


def _ring(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0, 0, side - 1, side - 1), outline=255, width=max(side // 6, 2))


def _cross(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.rectangle((side * 0.38, 0, side * 0.62, side), fill=255)
    draw.rectangle((0, side * 0.38, side, side * 0.62), fill=255)


def _star(draw: ImageDraw.ImageDraw, side: int) -> None:
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, 0.5, 0.2) * side
    points = zip(side / 2 + radii * np.cos(angles), side / 2 + radii * np.sin(angles), strict=True)
    draw.polygon([(float(x), float(y)) for x, y in points], fill=255)


def _stripes(draw: ImageDraw.ImageDraw, side: int) -> None:
    for number in range(0, 8, 2):
        draw.rectangle((0, side * number / 8, side, side * (number + 1) / 8), fill=255)


def _checks(draw: ImageDraw.ImageDraw, side: int) -> None:
    for row in range(4):
        for column in range(row % 2, 4, 2):
            left, top = side * column / 4, side * row / 4
            draw.rectangle((left, top, left + side / 4, top + side / 4), fill=255)


def _crescent(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0, 0, side - 1, side - 1), fill=255)
    draw.ellipse((side * 0.3, side * 0.05, side * 1.2, side * 0.95), fill=0)


def _dots(draw: ImageDraw.ImageDraw, side: int) -> None:
    for row in range(3):
        for column in range(3):
            left, top = side * (column / 3 + 0.06), side * (row / 3 + 0.06)
            draw.ellipse((left, top, left + side * 0.2, top + side * 0.2), fill=255)


_SHAPERS = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
    "star": _star,
    "stripes": _stripes,
    "checks": _checks,
    "crescent": _crescent,
    "dots": _dots,
}
