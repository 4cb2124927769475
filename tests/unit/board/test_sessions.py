"""Logins: kept over a restart, ended by a logout, their time, or another token."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.board.sessions import Sessions, TooManyTries, check_person, same
from services.common.bearer import Unauthorized
from services.common.errors import InvalidInput

TOKEN = "0123456789abcdef"


def sessions(folder: Path, token: str = TOKEN, seconds: float = 60) -> Sessions:
    return Sessions(folder / "sessions.json", token, seconds)


def test_a_login_outlives_a_restart_and_the_file_holds_no_cookie(tmp_path: Path) -> None:
    cookie, made = sessions(tmp_path).login("Ada", TOKEN, "a")
    found = sessions(tmp_path).find(cookie)
    assert found == made and found.name == "Ada"
    assert cookie not in (tmp_path / "sessions.json").read_text()
    assert (tmp_path / "sessions.json").stat().st_mode & 0o777 == 0o600


def test_a_logout_ends_it_for_good(tmp_path: Path) -> None:
    kept = sessions(tmp_path)
    cookie, made = kept.login("Ada", TOKEN, "a")
    kept.logout(made)
    assert kept.find(cookie) is None and sessions(tmp_path).find(cookie) is None


def test_time_and_another_token_end_it(tmp_path: Path) -> None:
    late = sessions(tmp_path, seconds=-1)
    assert late.find(late.login("Ada", TOKEN, "a")[0]) is None
    cookie, _ = sessions(tmp_path).login("Ada", TOKEN, "a")
    assert sessions(tmp_path, token="another-token-0123").find(cookie) is None


@pytest.mark.parametrize("cookie", ["", None, "x", "é\udc80"])
def test_another_cookie_is_nobody(tmp_path: Path, cookie: str | None) -> None:
    assert sessions(tmp_path).find(cookie) is None


def test_whoever_guesses_has_to_wait_and_others_do_not(tmp_path: Path) -> None:
    kept = sessions(tmp_path)
    for _ in range(10):
        with pytest.raises(Unauthorized):
            kept.login("Eve", "guess", "evil")
    with pytest.raises(TooManyTries):
        kept.login("Eve", TOKEN, "evil")
    assert kept.login("Ada", TOKEN, "good")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "x" * 61, "a\u202eb"])
def test_a_name_can_stand_in_a_log(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_person(name)


def test_a_name_loses_the_space_around_it() -> None:
    assert check_person("  Ada Lovelace ") == "Ada Lovelace"


def test_secrets_are_compared_whole() -> None:
    assert same("abc", "abc") and not same("ab", "abc") and not same("\udc80", "abc")


def test_a_broken_file_logs_everybody_out(tmp_path: Path) -> None:
    (tmp_path / "sessions.json").write_text("{")
    assert sessions(tmp_path).find("x") is None
