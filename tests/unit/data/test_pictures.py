from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image

from services.data.pictures import SHAPES, pictures
from services.media.image import decode_image
from services.media.sniff import sniff


def test_sizes_formats_and_classes_vary_and_all_can_be_read() -> None:
    made = list(pictures(classes=10, items=60, seed=1))
    assert [one.label for one in made[:12]] == [*range(10), 0, 1]
    assert len({one.name for one in made}) == 60
    assert {sniff(one.data) for one in made} == {"png", "jpeg"}
    assert len({decode_image(one.data).shape for one in made}) > 40
    assert len(SHAPES) == 10


def test_it_is_the_same_each_time() -> None:
    assert list(pictures(3, 9, 4)) == list(pictures(3, 9, 4))
    assert list(pictures(3, 9, 4)) != list(pictures(3, 9, 5))


def test_a_picture_on_its_side_is_seen_upright() -> None:
    import io

    sides = 0
    for one in pictures(classes=3, items=60, seed=2):
        raw = Image.open(io.BytesIO(one.data))
        turned = raw.getexif().get(0x0112) == 6
        height, width = decode_image(one.data).shape[:2]
        assert (raw.width, raw.height) == ((height, width) if turned else (width, height))
        sides += turned
    assert sides >= 6


def test_the_shape_is_brighter_than_the_ground() -> None:
    for one in pictures(classes=10, items=20, seed=3):
        pixels = decode_image(one.data).astype(np.float64).mean(axis=2)
        assert np.percentile(pixels, 99) > np.median(pixels) + 40


def test_the_colour_alone_tells_most_classes_apart() -> None:
    hues = np.array([_hue(decode_image(one.data)) for one in pictures(classes=6, items=120, seed=6)])
    labels = np.arange(120) % 6
    distance = np.abs(hues[:, None] - hues[None, :])
    distance = np.minimum(distance, 1 - distance) + np.eye(120)
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.85


def _hue(pixels: np.ndarray) -> float:
    """Of the bright part of a picture: the shape."""
    bright = pixels.reshape(-1, 3)[pixels.max(axis=2).ravel() > 0.9 * np.percentile(pixels.max(axis=2), 99)]
    red, green, blue = np.median(bright, axis=0) / 255
    return colorsys.rgb_to_hsv(red, green, blue)[0]
