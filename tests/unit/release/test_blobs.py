"""Blobs are whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.common.digest import digest_bytes
from services.common.errors import IntegrityError, InvalidInput, NotFound
from workflows.release.blobs import BlobStore
from workflows.release.layer import HashingWriter


def left_over(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_blob_lies_under_its_digest(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = store.write_bytes(b"data")
    assert digest == digest_bytes(b"data")
    assert left_over(tmp_path) == [tmp_path / "blobs" / "sha256" / digest[7:]]
    assert store.read(digest, max_bytes=10) == b"data"
    assert store.write_bytes(b"data") == digest


def test_an_altered_blob_is_refused(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    digest = store.write_bytes(b"data")
    store.path(digest).write_bytes(b"Data")
    with pytest.raises(IntegrityError, match="altered"):
        store.check(digest)
    with pytest.raises(IntegrityError):
        store.read(digest, max_bytes=10)


def test_missing_large_and_unnamed_blobs(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with pytest.raises(NotFound):
        store.read(digest_bytes(b"x"), max_bytes=10)
    with pytest.raises(IntegrityError, match="larger"):
        store.read(store.write_bytes(b"x" * 11), max_bytes=10)
    for name in ("sha256:../../x", "sha256:" + "A" * 64, "md5:0", ""):
        with pytest.raises(InvalidInput):
            store.path(name)


def test_nothing_stays_of_a_write_that_fails(tmp_path: Path) -> None:
    def fail(writer: HashingWriter) -> None:
        writer.write(b"x" * 10_000)
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError):
        BlobStore(tmp_path).write(fail)
    assert left_over(tmp_path) == []


SLOW = """
import sys, time
from pathlib import Path
from workflows.release.blobs import BlobStore
def fill(writer):
    writer.write(b"x" * (4 << 20))
    print("writing", flush=True)
    time.sleep(60)
BlobStore(Path(sys.argv[1])).write(fill)
"""


def test_what_a_killed_writer_left_is_swept_and_a_living_one_is_let_be(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        store = BlobStore(tmp_path)
        kept = store.write_bytes(b"beside it")
        assert len(left_over(tmp_path)) == 2
        os.kill(writer.pid, signal.SIGKILL)
    time.sleep(0.05)
    store.write_bytes(b"after it")
    assert len(left_over(tmp_path)) == 2
    assert not list((tmp_path / "tmp").iterdir())
    assert store.has(kept)


def test_who_sweeps_takes_nothing_from_those_who_write(tmp_path: Path) -> None:
    def write(writer: int) -> list[str]:
        return [BlobStore(tmp_path).write_bytes(b"%d %d" % (writer, number)) for number in range(100)]

    with ThreadPoolExecutor(8) as pool:
        digests = [digest for written in pool.map(write, range(8)) for digest in written]
    assert len(set(digests)) == 800
    assert all(BlobStore(tmp_path).has(digest) for digest in digests)
    assert not list((tmp_path / "tmp").iterdir())
