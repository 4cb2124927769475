from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from services.common.errors import InvalidInput
from services.data.digits import load_digits_dataset
from services.data.options import Options
from services.data.trainable import check_trainable
from services.media.image import decode_image


def test_the_pictures_are_the_scans() -> None:
    dataset = load_digits_dataset("digits", Options(""))
    scans = load_digits()
    assert len(dataset.items) == 1797
    assert dataset.labels == [str(digit) for digit in range(10)]
    by_scan = {item.id.split("-")[1]: item for item in dataset.items}
    for index in (0, 5, 1796):
        item = by_scan[f"{index:04d}.png"]
        pixels = decode_image(item.read()).astype(np.float64)
        assert np.abs(pixels * 16 / 255 - scans.images[index]).max() < 0.05
        assert item.primary == str(scans.target[index])


def test_it_is_the_same_each_time_and_can_be_trained_on() -> None:
    first, second = (load_digits_dataset("digits", Options("")) for _ in range(2))
    assert first.digest == second.digest
    check_trainable(first)


def test_fewer_items_keep_their_splits() -> None:
    few = load_digits_dataset("digits", Options("items=900"))
    splits = {item.id: item.split for item in load_digits_dataset("digits", Options("")).items}
    assert len(few.items) == 900
    assert all(item.split == splits[item.id] for item in few.items)


def test_an_option_that_is_not_there() -> None:
    with pytest.raises(InvalidInput, match="items"):
        load_digits_dataset("digits", Options("count=3"))
