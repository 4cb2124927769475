"""A labelled dataset over its base, read with suspicion."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import DatasetError, InvalidInput, NotFound
from services.data.dataset import Dataset
from services.data.source import load_dataset
from tests.support.labelling import shifted_png

BASE = "digits?items=300"
LISTED = {"path": f"files/{'a' * 64}.png", "labels": ["a"], "group": "g", "split": "training"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(BASE, cache=tmp_path_factory.mktemp("cache"))


def item(folder: Path, number: int, **changes: Any) -> dict[str, Any]:
    data, label = shifted_png(number)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / "files" / f"{digest}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {
        "path": f"files/{digest}.png", "labels": [label], "group": digest, "split": "training"
    } | changes  # fmt: skip


def write(
    folder: Path, number: int, entries: list[dict[str, Any]], digest: str, source: str = BASE, **changes: Any
) -> str:
    path = folder / "versions" / f"{number:06d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": "rookery.labels/1", "number": number, "base": {"source": source, "digest": digest}, "items": entries
    } | changes  # fmt: skip
    path.write_text(json.dumps(content))
    return f"{folder}?version={number}"


def labelled(dataset: Dataset) -> list[str]:
    return [one.id for one in dataset.items if one.id.startswith("labelled/")]


def test_the_base_and_what_was_labelled(tmp_path: Path, base: Dataset) -> None:
    one, two = item(tmp_path, 1), item(tmp_path, 2, split="evaluation")
    first = write(tmp_path, 1, [one], base.digest)
    write(tmp_path, 2, [one, two], base.digest)
    found = load_dataset(first, cache=tmp_path / "cache")
    assert (found.kind, found.task, found.defaults) == (base.kind, base.task, base.defaults)
    assert len(found.items) == len(base.items) + 1
    assert found.digest != base.digest
    newest = load_dataset(str(tmp_path), cache=tmp_path / "cache")
    assert len(labelled(newest)) == 2
    assert newest.split_sizes()["evaluation"] == base.split_sizes()["evaluation"] + 1
    assert newest.digest != found.digest
    assert found.digest == load_dataset(first, cache=tmp_path / "other").digest


def test_what_cannot_be_used_is_left_out_with_the_reason(tmp_path: Path, base: Dataset) -> None:
    held = next(one for one in base.items if one.split == "evaluation")
    same = base.items[0]
    path = tmp_path / "files" / f"{same.sha256}.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(same.read())
    other = item(tmp_path, 5)
    (tmp_path / other["path"]).write_bytes(shifted_png(6)[0])
    items = [
        item(tmp_path, 1), item(tmp_path, 1), item(tmp_path, 2, group=held.group), other,
        {"path": f"files/{same.sha256}.png", "labels": [same.primary], "group": "g", "split": "training"},
        {"path": f"files/{'0' * 64}.png", "labels": ["1"], "group": "g", "split": "training"},
    ]  # fmt: skip
    found = load_dataset(write(tmp_path, 1, items, base.digest), cache=tmp_path / "cache")
    assert len(labelled(found)) == 1
    reasons = sorted(problem.reason for problem in found.problems)
    assert reasons == ["changed", "duplicate", "duplicate", "in-holdout", "missing-file"]


def test_a_base_that_has_changed_is_said(tmp_path: Path) -> None:
    found = load_dataset(write(tmp_path, 1, [item(tmp_path, 1)], "sha256:0"), cache=tmp_path / "cache")
    assert [problem.reason for problem in found.problems] == ["base-changed"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"schema": "x"}, DatasetError, "schema"),
        ({"items": [LISTED | {"path": "../../etc/passwd"}]}, DatasetError, "path"),
        ({"items": [LISTED | {"labels": []}]}, DatasetError, "labels"),
        ({"items": [LISTED | {"split": "all"}]}, DatasetError, "split"),
        ({"items": 7}, DatasetError, "items"),
        ({"base": {"source": "nothing", "digest": ""}}, InvalidInput, "unknown data source"),
    ],
    ids=["schema", "path", "labels", "split", "items", "base"],
)  # fmt: skip
def test_a_version_that_is_none_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    source = write(tmp_path, 1, [], "sha256:0", **changes)
    with pytest.raises(error, match=message):
        load_dataset(source, cache=tmp_path / "cache")


def test_there_is_no_such_version(tmp_path: Path) -> None:
    write(tmp_path, 1, [], "sha256:0")
    with pytest.raises(NotFound, match="no such version"):
        load_dataset(f"{tmp_path}?version=2", cache=tmp_path / "cache")
    with pytest.raises(InvalidInput, match="version"):
        load_dataset(f"{tmp_path}?version=-1", cache=tmp_path / "cache")


def test_labels_are_not_the_base_of_labels(tmp_path: Path) -> None:
    source = write(tmp_path, 1, [], "sha256:0", source=str(tmp_path))
    with pytest.raises(DatasetError, match="cannot be the base of another"):
        load_dataset(source, cache=tmp_path / "cache")


def test_a_base_outside_of_the_roots_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    outside.mkdir()
    source = write(inside, 1, [], "sha256:0", source=str(outside))
    with pytest.raises(InvalidInput, match="outside the folders for data"):
        load_dataset(source, roots=[inside], cache=tmp_path / "cache")
