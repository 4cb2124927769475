from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.bundle.manifest import ImagePreprocessing
from services.common.errors import DatasetError
from services.data.dataset import Dataset, Item, make_dataset
from services.data.source import load_dataset
from services.media.prepare import prepare
from services.train.features import load_features, statistics

RAW = ImagePreprocessing(height=8, width=8, channels=1, mean=[0.0], std=[1.0])


def _digits(tmp_path: Path, broken: int = 0) -> Dataset:
    dataset = load_dataset("digits?items=120", cache=tmp_path)
    items = list(dataset.items)
    for index in range(broken):
        item = items[index]
        items[index] = Item(item.id, item.labels, item.group, "training", "png", item.sha256, b"no picture")
    return make_dataset("digits", "image", "single-label", items)


def _load(dataset: Dataset, cache: Path, limit: float = 1.0):  # type: ignore[no-untyped-def]
    told: list[int] = []
    features = load_features(dataset, RAW, cache, limit_gib=limit, tell=lambda done, _: told.append(done))
    return features, told


def test_features_are_what_serving_would_compute_and_are_computed_once(tmp_path: Path) -> None:
    dataset = _digits(tmp_path)
    features, told = _load(dataset, tmp_path)
    assert told == list(range(1, len(dataset.split("training") + dataset.split("validation")) + 1))
    for index in (0, len(features.training.items) - 1):
        expected = prepare(features.training.items[index].read(), RAW).tensor
        assert np.array_equal(features.training.windows[features.training.item_of == index], expected)
    assert set(features.training.features) == {"brightness", "contrast", "width", "height"}
    again, told = _load(dataset, tmp_path)
    assert told == []
    assert np.array_equal(again.validation.windows, features.validation.windows)


def test_normalised_values_have_mean_zero_and_deviation_one(tmp_path: Path) -> None:
    features, _ = _load(_digits(tmp_path), tmp_path)
    mean, std = statistics(features.training)
    values = (features.training.windows - mean[0]) / std[0]
    assert values.mean() == pytest.approx(0, abs=1e-3)
    assert values.std() == pytest.approx(1, abs=1e-3)


def test_broken_items_are_named_and_skipped(tmp_path: Path) -> None:
    dataset = _digits(tmp_path, broken=2)
    features, _ = _load(dataset, tmp_path)
    assert len(features.skipped) == 2
    assert not set(features.skipped) & {item.id for item in features.training.items}


def test_a_split_without_any_usable_item_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    dataset = _digits(tmp_path)
    broken = [Item(i.id, i.labels, i.group, i.split, "png", i.sha256, b"") for i in dataset.items]
    with pytest.raises(DatasetError, match="no item of the training split"):
        _load(make_dataset("x", "image", "single-label", broken), tmp_path)
    assert list((tmp_path / "features").iterdir()) == []


def test_the_cache_stays_within_its_limit(tmp_path: Path) -> None:
    for count in (60, 90, 120):
        _load(load_dataset(f"digits?items={count}", cache=tmp_path), tmp_path, limit=1e-9)
    assert len(list((tmp_path / "features").iterdir())) == 1
