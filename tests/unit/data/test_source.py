from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, Unavailable
from services.data.source import load_dataset


def test_sources_by_name(write: Callable[..., Path], tmp_path: Path) -> None:
    root = write({f"{label}/{n}.png": ord(label) * 100 + n for label in "ab" for n in range(4)})
    cache = tmp_path / "cache"
    assert len(load_dataset("digits?items=100", cache=cache).items) == 100
    assert load_dataset("synthetic-birds?recordings=6&species=2&seconds=0.5", cache=cache).kind == "audio"
    assert load_dataset(str(root), roots=[tmp_path], cache=cache).labels == ["a", "b"]
    assert load_dataset(f"{root}?min_items=2", cache=cache).source == f"{root}?min_items=2"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "digit",
        "digits ",
        "Digits",
        "data/here",
        "../data",
        "~/data",
        "http://x/y",
        "file:///etc",
        "digits\n",
        "d" * 2000,
    ],
)
def test_unknown_sources_say_what_there_is(source: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="synthetic-birds"):
        load_dataset(source, cache=tmp_path)


def test_paths_outside_the_roots(write: Callable[..., Path], tmp_path: Path) -> None:
    root = write({"a/1.png": 1})
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link").symlink_to(root)
    for source in (str(root), f"{allowed}/../data", str(allowed / "link"), "/", "/etc"):
        with pytest.raises(InvalidInput, match="outside the folders"):
            load_dataset(source, roots=[allowed], cache=tmp_path / "cache")
    with pytest.raises(InvalidInput, match="no local folder"):
        load_dataset(str(root), roots=[], cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["nothing", "file.txt"])
def test_a_path_that_is_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(InvalidInput, match="no folder"):
        load_dataset(str(tmp_path / name), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "source", ["s3://", "s3://B/x", "s3://a..b/x", "s3://bucket/../x", "s3:///x", "s3://-b/x"]
)
def test_names_of_buckets(source: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"s3://bucket/prefix|names joined"):
        load_dataset(source, cache=tmp_path)


def test_an_object_store_must_be_configured(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ROOKERY_S3_ENDPOINT"):
        load_dataset("s3://bucket/x", cache=tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="cache cannot be used"):
        load_dataset("synthetic-birds?recordings=6&species=2&seconds=0.5", cache=tmp_path / "cache")


def test_no_torch_is_imported() -> None:
    check = "import sys, services.data.source, services.data.generate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
