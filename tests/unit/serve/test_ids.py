from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput, Refused
from services.serve.ids import RequestIds, find_key

KEY = b"k" * 32
NOW = 1_780_000_000.0


def ids(key: bytes = KEY, application: str = "birds", environment: str = "production") -> RequestIds:
    return RequestIds(key, application, environment)


def test_an_id_is_known_to_every_server_with_the_key() -> None:
    made = ids().next(int(NOW * 1000))
    assert ids().check(made, oldest_seconds=60, now=NOW + 30) == made[:32]


def test_ids_differ() -> None:
    maker = ids()
    assert len({maker.next(1) for _ in range(1000)} | {ids().next(1) for _ in range(100)}) == 1100


@pytest.mark.parametrize("other", [ids(b"x" * 32), ids(application="digits"), ids(environment="staging")])
def test_an_id_of_another_key_application_or_environment_is_refused(other: RequestIds) -> None:
    with pytest.raises(Refused, match="no prediction with this request id"):
        ids().check(other.next(int(NOW * 1000)), oldest_seconds=60, now=NOW)


def test_an_altered_id_is_refused() -> None:
    made = ids().next(int(NOW * 1000))
    for place in range(0, 56, 5):
        other = made[:place] + ("0" if made[place] != "0" else "1") + made[place + 1 :]
        with pytest.raises(Refused):
            ids().check(other, oldest_seconds=1e12, now=NOW)


def test_an_old_prediction_is_refused() -> None:
    with pytest.raises(Refused, match="too old"):
        ids().check(ids().next(int(NOW * 1000)), oldest_seconds=60, now=NOW + 61)


@pytest.mark.parametrize("text", ["", "0" * 55, "0" * 57, "G" * 56, "A" * 56, "0" * 55 + "\n"])
def test_what_is_no_id_is_said_so(text: str) -> None:
    with pytest.raises(InvalidInput, match="no request id"):
        ids().check(text, oldest_seconds=60)


def test_the_folder_keeps_one_key(tmp_path: Path) -> None:
    key = find_key("", tmp_path)
    assert find_key("", tmp_path) == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert find_key("given by a Secret", tmp_path) == b"given by a Secret"
    with pytest.raises(InvalidInput, match="too short"):
        find_key("short", tmp_path)
    (tmp_path / "key").write_bytes(b"half")
    with pytest.raises(InvalidInput, match="not whole"):
        find_key("", tmp_path)
