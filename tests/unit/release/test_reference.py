"""How a registry is spoken to, and which login it is shown; what references are is in test_registry.py."""

from __future__ import annotations

import pytest

from workflows.release.reference import RegistrySettings, parse_reference


def test_plain_http_is_spoken_where_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_REGISTRY_PLAIN_HTTP", "one.example:5000, two.example")
    assert parse_reference("one.example:5000/a").scheme == "http"
    assert parse_reference("two.example/a").scheme == "http"
    assert parse_reference("one.example/a").scheme == "https"
    assert parse_reference("registry.rookery.svc:5000/a").scheme == "https"
    assert parse_reference("https://one.example:5000/a").scheme == "https"


def test_the_registry_of_the_base_never_sees_the_other_login() -> None:
    settings = RegistrySettings(username="us", password="secret", base_username="them")  # type: ignore[arg-type]
    assert settings.of_base().username == "them"
    assert settings.of_base().password.get_secret_value() == ""
