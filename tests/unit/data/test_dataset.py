from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import IntegrityError, NotFound
from services.data.dataset import Item, dataset_digest, make_dataset


def item(id_: str = "a/1.png", label: str = "a", split: str = "training", content: bytes = b"x") -> Item:
    sha = hashlib.sha256(content).hexdigest()
    return Item(id_, (label,), id_, split, "png", sha, content)  # type: ignore[arg-type]


@given(st.randoms())
def test_the_digest_does_not_depend_on_the_order(shuffle: random.Random) -> None:
    items = [item(f"a/{number}.png", content=bytes([number])) for number in range(8)]
    digest = dataset_digest(items)
    shuffle.shuffle(items)
    assert dataset_digest(items) == digest


@pytest.mark.parametrize(
    "other", [item("a/2.png"), item(label="b"), item(split="evaluation"), item(content=b"y")]
)
def test_the_digest_changes_with_path_label_split_and_content(other: Item) -> None:
    assert dataset_digest([other]) != dataset_digest([item()])


def test_where_the_bytes_lie_does_not_change_the_digest(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    elsewhere = Item("a/1.png", ("a",), "g", "training", "png", item().sha256, tmp_path / "1.png")
    assert dataset_digest([elsewhere]) == dataset_digest([item()])


def test_a_file_that_changed_after_the_scan_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(b"x")
    scanned = Item("a/1.png", ("a",), "g", "training", "png", item().sha256, path)
    assert scanned.read() == b"x"
    path.write_bytes(b"y")
    with pytest.raises(IntegrityError, match=r"a/1\.png"):
        scanned.read()
    path.unlink()
    with pytest.raises(NotFound):
        scanned.read()


def test_counts_include_secondary_labels_and_zeros() -> None:
    both = Item("a/1.ogg", ("a", "b"), "g", "training", "ogg", "00", b"", 1.0)
    other = Item("b/2.ogg", ("b",), "h", "evaluation", "ogg", "11", b"", 1.0)
    dataset = make_dataset("s", "audio", "multi-label", [other, both])
    assert (both.primary, both.secondary) == ("a", ("b",))
    assert dataset.class_counts() == {"a": 1, "b": 2}
    assert dataset.class_counts("evaluation") == {"a": 0, "b": 1}
    assert dataset.split_sizes() == {"training": 1, "validation": 0, "evaluation": 1}
    assert dataset.split("training") == [both]
    with pytest.raises(NotFound, match="validation"):
        dataset.split("test")
