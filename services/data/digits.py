"""The handwritten digits that come with scikit-learn: 1797 real scans of 8 by 8 pixels in 17 shades of grey.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.data.dataset import Dataset, Item, make_dataset
from services.data.options import Options
from services.data.splits import assign_splits

_WHITE = 16


def load_digits_dataset(source: str, options: Options) -> Dataset:
    """The scans as PNG files, strokes bright on black. Option `items`: only the first so many."""
    from sklearn.datasets import load_digits

    count = options.integer("items", default=1797, lowest=30, highest=1797)
    options.finish()
    scans = load_digits()
    names = [f"{target}/scan-{index:04d}.png" for index, target in enumerate(scans.target[:count])]
    labels = [str(target) for target in scans.target[:count]]
    splits = assign_splits(dict(zip(names, labels, strict=True)))
    items = []
    for name, label, pixels in zip(names, labels, scans.images, strict=False):
        data = _png(pixels)
        items.append(
            Item(
                id=name,
                labels=(label,),
                group=name,
                split=splits[name],
                media_type="png",
                sha256=hashlib.sha256(data).hexdigest(),
                content=data,
            )
        )
    defaults: dict[str, int | float | bool] = {"height": 16, "width": 16, "channels": 1, "invert": True}
    return make_dataset(source, "image", "single-label", items, defaults=defaults)


def _png(pixels: npt.NDArray[np.float64]) -> bytes:
    grey = np.round(pixels * (255 / _WHITE)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="PNG")
    return file.getvalue()
