from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from services.common.errors import InvalidInput
from services.data.dataset import Dataset
from services.data.splits import SPLITS

Write = Callable[..., Path]
Load = Callable[..., Dataset]
Reasons = Callable[[Dataset], dict[str, str]]


def test_one_folder_per_class(write: Write, load: Load) -> None:
    root = write({f"{label}/{label}{n}.png": ord(label) * 100 + n for label in "ab" for n in range(10)})
    dataset = load(root)
    assert (dataset.kind, dataset.task, dataset.labels) == ("image", "single-label", ["a", "b"])
    assert dataset.class_counts() == {"a": 10, "b": 10}
    assert all(dataset.split(name) for name in SPLITS)
    assert dataset.defaults == {"height": 16, "width": 16, "channels": 1, "invert": False}
    assert dataset.items[0].read() == (root / dataset.items[0].id).read_bytes()


def test_the_size_suggested_for_photos_is_bounded(write: Write, load: Load) -> None:
    file = io.BytesIO()
    Image.effect_noise((3000, 100), 50).convert("RGB").save(file, format="JPEG")
    defaults = load(write({"a/1.jpg": file.getvalue()})).defaults
    assert defaults == {"height": 100, "width": 224, "channels": 3, "invert": False}


def test_a_folder_of_recordings_by_species(write: Write, load: Load) -> None:
    files = {f"{label}/{n}.wav": ord(label) * 100 + n for label in "ab" for n in range(5)}
    dataset = load(write(files, sound=True))
    assert (dataset.kind, dataset.labels) == ("audio", ["a", "b"])
    assert dataset.defaults == {"sample_rate": 8000, "seconds": 0.5}
    assert {item.media_type for item in dataset.items} == {"wav"}


@pytest.mark.parametrize("names", [("training", "validation", "evaluation"), ("train", "val", "test")])
def test_folders_of_splits_are_kept(write: Write, load: Load, names: tuple[str, str, str]) -> None:
    files = {
        f"{name}/class_0{label}/{n}.png": place * 100 + label * 10 + n
        for place, name in enumerate(names)
        for label in range(2)
        for n in range(3 + place)
    }
    dataset = load(write(files))
    assert dataset.labels == ["class_00", "class_01"]
    assert dataset.split_sizes() == {"training": 6, "validation": 8, "evaluation": 10}
    assert all(item.id.startswith(names[SPLITS.index(item.split)]) for item in dataset.items)


@pytest.mark.parametrize(
    ("given", "shared"),
    [
        (("training", "evaluation"), {"training", "validation"}),
        (("training", "validation"), {"training", "evaluation"}),
        (("training",), set(SPLITS)),
    ],
)
def test_a_missing_split_is_taken_from_training(
    write: Write, load: Load, given: tuple[str, ...], shared: set[str]
) -> None:
    files = {
        f"{name}/{label}/{n}.png": place * 1000 + ord(label) * 100 + n
        for place, name in enumerate(given)
        for label in "ab"
        for n in range(30)
    }
    dataset = load(write(files))
    assert {item.split for item in dataset.items if item.id.startswith("training/")} == shared
    for name in given[1:]:
        assert {item.split for item in dataset.items if item.id.startswith(name)} == {name}


def test_windows_of_one_recording_stay_together(write: Write, load: Load) -> None:
    files = {
        f"{label}/night{night}/{n}.wav": ord(label) * 1000 + night * 10 + n
        for label in "ab"
        for night in range(8)
        for n in range(3)
    }
    dataset = load(write(files, sound=True))
    splits: dict[str, set[str]] = {}
    for item in dataset.items:
        splits.setdefault(item.id.rpartition("/")[0], set()).add(item.split)
    assert len(splits) == 16
    assert all(len(names) == 1 for names in splits.values())
    assert set.union(*splits.values()) == set(SPLITS)


def test_windows_named_alike_stay_together_when_asked(write: Write, load: Load) -> None:
    files = {
        f"{label}/XC{call}_{n}.wav": ord(label) * 1000 + call * 10 + n
        for label in "ab"
        for call in range(8)
        for n in range(3)
    }
    dataset = load(write(files, sound=True), "group_until=_")
    assert len({item.group for item in dataset.items}) == 16
    assert {item.group for item in dataset.items if item.id.startswith("a/XC3_")} == {"a/XC3"}


def test_growth_leaves_items_in_their_splits(write: Write, load: Load) -> None:
    few = load(write({f"{label}/{n}.png": ord(label) * 100 + n for label in "ab" for n in range(30)}))
    many = load(write({f"{label}/{n}.png": ord(label) * 100 + n for label in "abc" for n in range(30, 60)}))
    splits = {item.id: item.split for item in many.items}
    assert len(splits) == 150
    assert all(splits[item.id] == item.split for item in few.items)


def test_files_that_cannot_be_used_are_named_and_skipped(write: Write, load: Load, reasons: Reasons) -> None:
    files: dict[str, int | bytes | str] = {
        f"{label}/{n}.png": ord(label) * 100 + n for label in "ab" for n in range(4)
    }
    files |= {
        "a/empty.png": b"",
        "a/words.png": "words",
        "b/copy.png": 9701,
        "a/again.png": 9700,
        "read.me": "x",
    }
    dataset = load(write(files))
    assert reasons(dataset) == {
        "a/again.png": "duplicate",
        "a/1.png": "mislabelled",
        "a/empty.png": "empty",
        "a/words.png": "unreadable",
        "b/copy.png": "mislabelled",
        "read.me": "no-class",
    }
    assert dataset.class_counts() == {"a": 3, "b": 4}


def test_a_copy_in_the_holdout_is_kept_and_the_one_in_training_left_out(
    write: Write, load: Load, reasons: Reasons
) -> None:
    files = {f"{name}/a/{name}{n}.png": n + 10 * place for place, name in enumerate(SPLITS) for n in range(3)}
    dataset = load(write({**files, "training/a/seen.png": 20, "training/a/known.png": 10}))
    assert reasons(dataset) == {"training/a/seen.png": "duplicate", "training/a/known.png": "duplicate"}


def test_hidden_files_and_those_of_file_managers_are_nothing(
    write: Write, load: Load, reasons: Reasons
) -> None:
    dataset = load(
        write({"a/1.png": 1, "a/.DS_Store": "x", "b/Thumbs.db": "x", "__MACOSX/a/1.png": "x", "b/2.png": 2})
    )
    assert reasons(dataset) == {}
    assert dataset.labels == ["a", "b"]


def test_a_class_without_usable_files_is_named(write: Write, load: Load, reasons: Reasons) -> None:
    root = write({"a/1.png": 1, "b/2.png": 2, "c/3.png": "words"})
    (root / "d").mkdir()
    assert reasons(load(root)) == {"c/3.png": "unreadable", "c": "empty-class", "d": "empty-class"}


def test_rare_classes_are_left_out_when_asked(write: Write, load: Load, reasons: Reasons) -> None:
    root = write({"a/1.png": 1, "a/2.png": 2, "b/3.png": 3})
    dataset = load(root, "min_items=2")
    assert dataset.labels == ["a"]
    assert reasons(dataset) == {"b/3.png": "rare-class"}


def test_an_unknown_option(write: Write, load: Load) -> None:
    with pytest.raises(InvalidInput, match="min_item"):
        load(write({"a/1.png": 1}), "min_item=3")


def test_the_same_data_elsewhere_has_the_same_digest(write: Write, load: Load, tmp_path: Path) -> None:
    root = write({f"{label}/{n}.png": ord(label) * 100 + n for label in "ab" for n in range(5)})
    first = load(root)
    root.rename(tmp_path / "moved")
    assert load(tmp_path / "moved").digest == first.digest
