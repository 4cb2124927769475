"""The token is made once, for its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.board.settings import BoardSettings
from services.board.token import ensure_token, token_file
from services.common.errors import InvalidInput


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = BoardSettings.read(state_dir=tmp_path / "board")
    token = ensure_token(settings)
    assert len(token) >= 40 and ensure_token(settings) == token
    assert token_file(tmp_path / "board").stat().st_mode & 0o777 == 0o600


def test_one_that_is_given_is_not_written_down(tmp_path: Path) -> None:
    settings = BoardSettings.read(state_dir=tmp_path / "board", token="0123456789abcdef")
    assert ensure_token(settings) == "0123456789abcdef"
    assert not (tmp_path / "board").exists()


def test_a_file_that_others_read_is_refused(tmp_path: Path) -> None:
    settings = BoardSettings.read(state_dir=tmp_path)
    ensure_token(settings)
    token_file(tmp_path).chmod(0o644)
    with pytest.raises(InvalidInput, match="read by others"):
        ensure_token(settings)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    token_file(tmp_path).touch(0o600)
    with pytest.raises(InvalidInput, match="empty"):
        ensure_token(BoardSettings.read(state_dir=tmp_path))
