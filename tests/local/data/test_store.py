"""s3:// sources against a real MinIO server."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.common.errors import InvalidInput, NotFound, TooLarge, Unavailable
from services.data.generate import write_birdclef, write_pictures
from services.data.source import load_dataset
from services.data.synthetic import BirdOptions
from services.data.trainable import check_trainable


def files_of(cache: Path) -> dict[str, int]:
    """Change times of the fetched files by path."""
    return {
        str(path.relative_to(cache)): path.stat().st_mtime_ns
        for path in cache.glob("objects/*/files/**/*")
        if path.is_file()
    }


def test_objects_are_the_same_dataset_as_the_folder(minio_store: Any, tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    write_birdclef(
        folder, BirdOptions(species=3, recordings=24, seconds=1, overlap=0.3, format="ogg"), faults=True
    )
    bucket = minio_store.bucket()
    minio_store.put_folder(bucket, "field/calls", folder)
    minio_store.put_folder(bucket, "field/calls-of-others", folder)

    there = load_dataset(f"s3://{bucket}/field/calls", store=minio_store.settings, cache=tmp_path / "cache")
    here = load_dataset(str(folder), cache=tmp_path / "cache")

    check_trainable(there)
    assert there.digest == here.digest
    assert there.problems == here.problems
    assert there.items[0].read() == here.items[0].read()


def test_only_what_changed_is_fetched_again(minio_store: Any, tmp_path: Path) -> None:
    folder, cache = tmp_path / "shapes", tmp_path / "cache"
    write_pictures(folder, items=12, classes=2, seed=1)
    bucket = minio_store.bucket()
    minio_store.put_folder(bucket, "shapes", folder)
    source = f"s3://{bucket}/shapes"
    first = load_dataset(source, store=minio_store.settings, cache=cache)
    before = files_of(cache)
    gone, changed = (f"shapes/{item.id}" for item in first.items[:2])
    minio_store.client.remove_object(bucket, gone)
    other = first.items[2].read() + b"\0"
    minio_store.client.put_object(bucket, changed, io.BytesIO(other), len(other))

    second = load_dataset(source, store=minio_store.settings, cache=cache)

    after = files_of(cache)
    assert len(second.items) == len(first.items) - 1
    assert {path for path in after if after[path] != before[path]} == {
        path for path in after if path.endswith(changed.removeprefix("shapes/"))
    }
    assert not [path for path in after if path.endswith(gone.removeprefix("shapes/"))]


def test_a_cut_download_goes_on_where_it_stopped(
    minio_store: Any, tmp_path: Path, relay: Callable[[int], Any]
) -> None:
    bucket = minio_store.bucket()
    size = 20 << 20
    noise = os.urandom(size)
    minio_store.client.put_object(bucket, "big/a/noise.wav", io.BytesIO(noise), size)
    middle = relay(int(minio_store.settings.endpoint.rpartition(":")[2]))
    settings = minio_store.settings.model_copy(update={"endpoint": f"127.0.0.1:{middle.port}"})
    middle.cut_after = size // 2
    with pytest.raises(Unavailable):
        load_dataset(f"s3://{bucket}/big", store=settings, cache=tmp_path)
    middle.cut_after, middle.answered = None, 0

    load_dataset(f"s3://{bucket}/big", store=settings, cache=tmp_path)

    (fetched,) = tmp_path.glob("objects/*/files/a/noise.wav")
    assert fetched.read_bytes() == noise
    assert middle.answered < size * 0.6


def test_a_killed_process_leaves_whole_files_that_are_not_fetched_again(
    minio_store: Any, tmp_path: Path
) -> None:
    bucket = minio_store.bucket()
    count, size = 60, 1 << 20
    for number in range(count):
        minio_store.client.put_object(bucket, f"many/a/{number:03d}.wav", io.BytesIO(os.urandom(size)), size)
    settings, cache = minio_store.settings, tmp_path / "cache"
    script = (
        "import sys; from pathlib import Path; from services.data.source import load_dataset\n"
        "from services.data.store import ObjectStoreSettings\n"
        "load_dataset(sys.argv[1], store=ObjectStoreSettings(), cache=Path(sys.argv[2]))"
    )
    environment = {
        **os.environ,
        "ROOKERY_S3_ENDPOINT": settings.endpoint,
        "ROOKERY_S3_ACCESS_KEY": settings.access_key.get_secret_value(),
        "ROOKERY_S3_SECRET_KEY": settings.secret_key.get_secret_value(),
        "ROOKERY_S3_SECURE": "false",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", script, f"s3://{bucket}/many", str(cache)], env=environment
    )
    deadline = time.monotonic() + 60
    while not (journals := [*cache.glob("objects/*/state.jsonl")]) or journals[0].stat().st_size == 0:
        assert process.poll() in (None, 0)
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    recorded = journals[0].read_text().count("\n")
    before = files_of(cache)
    assert before

    load_dataset(f"s3://{bucket}/many", store=settings, cache=cache)

    after = files_of(cache)
    assert len(after) == count
    assert sum(after[path] == before.get(path) for path in after) >= recorded


def test_objects_over_the_bound_of_the_cache_are_refused_before_any_is_fetched(
    minio_store: Any, tmp_path: Path
) -> None:
    bucket = minio_store.bucket()
    minio_store.client.put_object(bucket, "a/x/1.wav", io.BytesIO(bytes(4000)), 4000)
    settings = minio_store.settings.model_copy(update={"cache_bytes": 3000})
    with pytest.raises(TooLarge, match="ROOKERY_S3_CACHE_BYTES"):
        load_dataset(f"s3://{bucket}/a", store=settings, cache=tmp_path)
    assert files_of(tmp_path) == {}


def test_the_longest_unused_prefix_makes_room_but_not_one_in_use(minio_store: Any, tmp_path: Path) -> None:
    bucket = minio_store.bucket()
    for name in "abc":
        minio_store.client.put_object(bucket, f"{name}/x/{name}.wav", io.BytesIO(bytes(4000)), 4000)
    settings = minio_store.settings.model_copy(update={"cache_bytes": 9000})
    for name in "ab":
        load_dataset(f"s3://{bucket}/{name}", store=settings, cache=tmp_path)
    with pytest.raises(TooLarge, match="last six hours"):
        load_dataset(f"s3://{bucket}/c", store=settings, cache=tmp_path)
    (of_a,) = (path.parents[2] for path in tmp_path.glob("objects/*/files/x/a.wav"))
    os.utime(of_a / "state.jsonl", (1, 1))

    load_dataset(f"s3://{bucket}/c", store=settings, cache=tmp_path)

    assert sorted(Path(path).name for path in files_of(tmp_path)) == ["b.wav", "c.wav"]


def test_a_bucket_that_is_not_there(minio_store: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="NoSuchBucket"):
        load_dataset("s3://no-such-bucket-here/x", store=minio_store.settings, cache=tmp_path)


def test_wrong_keys(minio_store: Any, tmp_path: Path) -> None:
    settings = minio_store.settings.model_copy(update={"secret_key": SecretStr("wrong-but-long-enough")})
    with pytest.raises(InvalidInput, match="SignatureDoesNotMatch") as failure:
        load_dataset(f"s3://{minio_store.bucket()}/x", store=settings, cache=tmp_path)
    assert "wrong-but-long-enough" not in str(failure.value)


def test_a_store_that_is_away_is_said_within_bounds(minio_store: Any, tmp_path: Path) -> None:
    settings = minio_store.settings.model_copy(update={"endpoint": "127.0.0.1:1"})
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer"):
        load_dataset("s3://bucket/x", store=settings, cache=tmp_path)
    assert time.monotonic() - begun < 60
