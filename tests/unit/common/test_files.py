from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from services.common.files import replacing, write_json


def test_a_file_has_its_new_content_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for text in (b"first", b"second"):
        with replacing(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == text
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]


def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"former")
    with pytest.raises(OSError, match="disk full"), replacing(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]
    assert path.read_bytes() == b"former"


def test_threads_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, both = tmp_path / "record.json", Barrier(2)

    def write(text: bytes) -> None:
        with replacing(path) as file:
            file.write(text)
            both.wait(60)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (b"one", b"two")))
    assert path.read_bytes() in (b"one", b"two")
    assert [one.name for one in tmp_path.iterdir()] == ["record.json"]


def test_a_json_file_is_this_users_alone_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    for value in ({"b": 1, "a": ["é"]}, {}):
        write_json(path, value)
        assert json.loads(path.read_bytes()) == value
        assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_bytes()) == {}
