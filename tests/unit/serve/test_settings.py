from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.bundle.reader import Bundle
from services.common.errors import IntegrityError
from services.serve.identity import identify
from services.serve.settings import ServeSettings


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_SERVE_MODEL_VERSION", "7")
    monkeypatch.setenv("ROOKERY_SERVE_MAX_BYTES", "2048")
    settings = ServeSettings()
    assert settings.model_version == "7"
    assert settings.limits().max_bytes == 2048
    assert settings.worker_count() >= 1


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="wrokers"):
        ServeSettings(wrokers=2)  # type: ignore[call-arg]


def test_every_setting_is_described() -> None:
    assert all(field.description for field in ServeSettings.model_fields.values())


def test_another_bundle_than_promised_is_refused(digits: Bundle) -> None:
    settings = ServeSettings(expected_digest="sha256:" + "1" * 64)
    with pytest.raises(IntegrityError, match="promised"):
        identify(digits, settings, "sha256:a", "sha256:b")
