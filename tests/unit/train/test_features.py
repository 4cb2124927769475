from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from services.bundle.manifest import ImagePreprocessing
from services.common.errors import DatasetError, IntegrityError
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
    assert _kept(tmp_path) == []


def test_what_a_killed_training_left_is_begun_anew_and_counts_against_the_limit(tmp_path: Path) -> None:
    dataset = _digits(tmp_path)
    _load(dataset, tmp_path)
    [folder] = _kept(tmp_path)
    cut, other = folder.with_suffix(".making"), folder.with_name("other.making")
    for left in (cut, other):
        left.mkdir()
        (left / "training.f32").write_bytes(bytes(1000))
    os.utime(other / "training.f32", (1, 1))
    os.utime(other, (1, 1))
    shutil.rmtree(folder)
    features, _ = _load(dataset, tmp_path, limit=1e-9)
    assert _kept(tmp_path) == [folder]
    assert len(features.training.items) == len(dataset.split("training"))


def test_a_file_that_has_changed_since_the_scan_ends_the_training_and_is_not_remembered(
    tmp_path: Path,
) -> None:
    dataset = _digits(tmp_path)
    items = list(dataset.items)
    place = next(index for index, item in enumerate(items) if item.split == "training")
    changed = tmp_path / "changed.png"
    changed.write_bytes(b"other bytes")
    one = items[place]
    items[place] = Item(one.id, one.labels, one.group, one.split, "png", one.sha256, changed)
    moved = make_dataset("digits", "image", "single-label", items)
    with pytest.raises(IntegrityError, match="changed since it was scanned"):
        _load(moved, tmp_path)
    assert isinstance(one.content, bytes)
    changed.write_bytes(one.content)
    assert _load(moved, tmp_path)[0].skipped == {}


def test_the_cache_stays_within_its_limit(tmp_path: Path) -> None:
    for count in (60, 90, 120):
        _load(load_dataset(f"digits?items={count}", cache=tmp_path), tmp_path, limit=1e-9)
    assert len(_kept(tmp_path)) == 1


def _kept(cache: Path) -> list[Path]:
    return [path for path in (cache / "features").iterdir() if path.is_dir()]
