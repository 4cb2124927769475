"""Settings of the board: no open door, no placeholder, no address that is none."""

from __future__ import annotations

import pytest

from services.board.settings import BoardSettings
from services.common.errors import InvalidInput


def test_the_default_listens_on_this_machine_alone() -> None:
    settings = BoardSettings.read()
    assert (settings.host, settings.port, settings.cluster) == ("127.0.0.1", 8085, False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "ROOKERY_BOARD_TOKEN"),
        ({"host": "board.example"}, "ROOKERY_BOARD_TOKEN"),
        ({"token": "short"}, "at least 16"),
        ({"monitor_url": "javascript:alert(1)"}, "http://"),
        ({"port": 70_000}, "port"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        BoardSettings.read(**given)


def test_a_wrong_token_is_not_told() -> None:
    with pytest.raises(InvalidInput) as error:
        BoardSettings.read(token="hunter2")
    assert "hunter2" not in str(error.value)


def test_an_address_loses_its_last_slash() -> None:
    assert BoardSettings.read(mlflow_url="http://127.0.0.1:8000/").mlflow_url == "http://127.0.0.1:8000"
