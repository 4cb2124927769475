"""Data that was made to do harm: it is named, skipped or refused, and nothing outside the dataset is touched."""

from __future__ import annotations

import io
import os
import pickle
import resource
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from services.common.errors import RookeryError
from services.data.dataset import Dataset
from services.data.source import load_dataset
from services.data.store import ObjectStoreSettings


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 6), np.uint8)).save(file, format="PNG")
    return file.getvalue()


def write_good(root: Path) -> None:
    for number, label in enumerate("ab"):
        (root / label).mkdir(parents=True)
        for index in range(4):
            (root / label / f"{index}.png").write_bytes(png(number * 10 + index))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_good(tmp_path / "data")
    return tmp_path / "data"


def load(root: Path) -> Dataset:
    return load_dataset(str(root), cache=root.parent / "cache")


def reasons(dataset: Dataset) -> dict[str, str]:
    return {problem.path: problem.reason for problem in dataset.problems}


def test_links_that_lead_out_are_not_followed(root: Path) -> None:
    secret = root.parent / "secret"
    write_good(secret)
    (root / "a/file.png").symlink_to(secret / "a/0.png")
    (root / "a/folder").symlink_to(secret / "a")
    (root / "a/above").symlink_to("../..")
    (root / "class-link").symlink_to(secret / "b")
    (root / "a/loop.png").symlink_to("loop.png")
    (root / "a/device.png").symlink_to("/dev/zero")
    (root / "a/inside.png").symlink_to("../b/0.png")
    found = load(root)
    assert reasons(found) == {
        "a/file.png": "link-outside",
        "a/folder": "link-outside",
        "a/above": "link-outside",
        "class-link": "link-outside",
        "a/loop.png": "missing-file",
        "a/device.png": "link-outside",
        "a/inside.png": "mislabelled",
        "b/0.png": "mislabelled",
    }
    assert found.labels == ["a", "b"]


def test_a_table_behind_a_link_is_not_read(root: Path) -> None:
    outside = root.parent / "outside.csv"
    outside.write_text("primary_label,filename\nsecret,1.ogg\n")
    (root / "train_audio/x").mkdir(parents=True)
    (root / "train.csv").symlink_to(outside)
    found = load(root)
    assert reasons(found) == {"train.csv": "link-outside", "train_audio": "empty-class"}


@pytest.mark.timeout(30)
def test_pipes_and_sockets_are_not_opened(root: Path) -> None:
    os.mkfifo(root / "a/pipe.png")
    assert reasons(load(root)) == {"a/pipe.png": "not-a-file"}


def test_names_that_are_no_text_are_shown_harmlessly(root: Path) -> None:
    for name in (b"\xff\xfe.png", b"line\nbreak.png", "\u202egnp.exe".encode(), b"\x1b[31m.png"):
        Path(os.fsdecode(os.fsencode(root / "a") + b"/" + name)).write_bytes(png(99))
    found = load(root)
    assert set(reasons(found).values()) == {"bad-name"}
    assert len(found.problems) == 4
    assert all(problem.path.isprintable() for problem in found.problems)
    found.report_html().encode()
    assert len(found.items) == 8


def test_folders_that_nest_without_end(root: Path) -> None:
    deep = root / "a"
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "1.png").write_bytes(png(50))
    assert set(reasons(load(root)).values()) == {"too-deep"}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side + 1) * 100, 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def wav(frames: int, channels: int = 1, rate: int = 8000) -> bytes:
    size = min(frames * channels * 2, 0xFFFFFFFF)
    body = struct.pack("<4sI4s", b"RIFF", 0xFFFFFFFF, b"WAVE")
    body += struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return body + struct.pack("<4sI", b"data", size) + os.urandom(2000)


def test_files_that_claim_to_be_enormous_cost_no_memory(root: Path) -> None:
    class Touched:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {root.parent}/touched",)

    files = {
        "bomb.png": bomb(60_000),
        "frames.wav": wav(1 << 32),
        "channels.wav": wav(100, channels=64),
        "slow.wav": wav(100, rate=1),
        "pickle.png": pickle.dumps(Touched()),
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }
    for name, data in files.items():
        (root / "a" / name).write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = load(root)
    assert reasons(found) == {f"a/{name}": "unreadable" for name in files}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert not (root.parent / "touched").exists()


def test_a_class_named_like_markup_or_a_command_is_only_a_name(root: Path) -> None:
    for name in ("$(touch touched)", "<script>alert(1)</script>".replace("/", "_"), "'; drop table x; --"):
        (root / "a").rename(root / name)
        found = load(root)
        assert name in found.labels
        assert "<script" not in found.report_html()
        (root / name).rename(root / "a")
    assert not list(root.parent.rglob("touched"))


HOSTILE_KEYS = [
    "p/../../../escaped.png",
    "p//etc/escaped.png",
    "p/a/./escaped.png",
    "p/..",
    "p/a\\..\\escaped.png",
    "p/a/" + "x" * 300 + ".png",
    "p/a/line\nbreak.png",
    "p/a/0.png/below.png",
    "p/" + "d/" * 600 + "escaped.png",
]


@contextmanager
def object_store(keys: list[str], redirect: str = "") -> Iterator[ObjectStoreSettings]:
    """Lists whatever keys it is told to, which a well-behaved store would refuse to hold."""
    data = png(7)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if redirect:
                self._answer(307, b"", {"Location": redirect})
            elif "list-type=2" in self.path:
                rows = "".join(
                    f'<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>"{"0" * 31}-1"</ETag>'
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                    for key in keys
                )
                head = (
                    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                )
                body = f"{head}<Name>bucket</Name><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
                self._answer(200, body.encode(), {"Content-Type": "application/xml"})
            else:
                self._answer(206, data, {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ObjectStoreSettings(
            endpoint=f"127.0.0.1:{server.server_port}",
            access_key=SecretStr("a" * 8),
            secret_key=SecretStr("b" * 8),
            secure=False,
            timeout_seconds=5,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_keys_that_lead_out_of_the_cache_are_not_fetched(tmp_path: Path) -> None:
    cache = tmp_path / "deep/er/cache"
    with object_store(["p/a/0.png", "p/b/1.png", *HOSTILE_KEYS]) as settings:
        found = load_dataset("s3://bucket/p", store=settings, cache=cache)
    unsafe = [problem for problem in found.problems if problem.reason == "unsafe-key"]
    assert len(unsafe) == len(HOSTILE_KEYS)
    assert not [path for path in tmp_path.rglob("*") if "escaped" in path.name or "below" in path.name]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(cache)]
    assert written == []
    fetched = [path.relative_to(cache).parts[3:] for path in cache.glob("objects/*/files/**/*.png")]
    assert sorted(fetched) == [("a", "0.png"), ("b", "1.png")]


def test_a_store_that_redirects_is_not_followed(tmp_path: Path) -> None:
    with (
        object_store([]) as other,
        object_store([], redirect=f"http://{other.endpoint}/bucket?list-type=2") as settings,
        pytest.raises(RookeryError),
    ):
        load_dataset("s3://bucket/p", store=settings, cache=tmp_path)
