from __future__ import annotations

from pathlib import Path

import pytest

from services.common.files import replacing


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
