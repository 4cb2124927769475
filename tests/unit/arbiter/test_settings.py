"""What the arbiter is told, and what it is not told is refused."""

from __future__ import annotations

import pytest

from services.arbiter.decide import Policy
from services.arbiter.settings import ArbiterSettings
from services.common.errors import InvalidInput


def test_the_defaults_are_those_of_the_policy() -> None:
    assert ArbiterSettings.read().policy() == Policy()


def test_each_number_of_the_policy_has_a_setting_of_its_own() -> None:
    given = {
        "debounce_seconds": 1.0,
        "longest_debounce_seconds": 2.0,
        "by_hand_debounce_seconds": 3.0,
        "cooldown_seconds": 4.0,
        "daily": 5,
        "daily_total": 6,
        "failures": 7,
        "rest_seconds": 8.0,
    }
    assert ArbiterSettings.read(**given).policy() == Policy(1.0, 2.0, 3.0, 4.0, 5, 6, 7, 8.0)


def test_the_environment_is_read_and_its_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_ARBITER_DATABASE", "postgresql+psycopg://a:verysecret@db/arbiter")
    monkeypatch.setenv("ROOKERY_ARBITER_TOKEN", "alsosecret")
    monkeypatch.setenv("ROOKERY_ARBITER_DAILY", "9")
    # Of the others, which ask the arbiter.
    monkeypatch.setenv("ROOKERY_ARBITER_URL", "http://arbiter:9096")
    settings = ArbiterSettings.read()
    assert settings.database.get_secret_value().endswith("@db/arbiter")
    assert settings.daily == 9
    assert "secret" not in repr(settings).replace("SecretStr", "") and "secret" not in str(
        settings.model_dump()
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "set ROOKERY_ARBITER_TOKEN"),
        ({"engine": "airflow"}, "engine"),
        ({"failures": 0}, "failures"),
        ({"daily": -1}, "daily"),
        ({"tick_seconds": 0}, "tick_seconds"),
        ({"port": 70_000}, "port"),
        ({"cooldown": 3}, "cooldown"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        ArbiterSettings.read(**given)


def test_a_misspelled_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_ARBITER_COOLDOWN", "x")
    with pytest.raises(InvalidInput, match="did you mean ROOKERY_ARBITER_COOLDOWN_SECONDS"):
        ArbiterSettings.read()
