"""Settings of the git server: read strictly, and handed on to the hooks unchanged."""

from __future__ import annotations

import pytest

from services.git.settings import GitServerSettings, SettingsError


def test_what_the_hooks_are_given_reads_the_same() -> None:
    settings = GitServerSettings.read(
        {
            "ROOKERY_GITSERVER_PORT": "81",
            "ROOKERY_GITSERVER_WEBHOOK_INSECURE": "true",
            "ROOKERY_GITSERVER_RELEASERS": "release, robot",
            "OTHER": "x",
        }
    )
    assert GitServerSettings.read(settings.environment()) == settings
    assert (
        settings.may_release("robot") and not settings.may_release("") and not settings.may_write_all("robot")
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORTS", "1", "did you mean ROOKERY_GITSERVER_PORT"),
        ("PORT", "many", "is no number"),
        ("PORT", "0", "port"),
        ("WEBHOOK_INSECURE", "maybe", "allowed: true, false"),
        ("REPOSITORY", "../x.git", "not valid"),
        ("ROOT", '/a"b', "not valid"),
        ("WEBHOOK_URL", "file:///etc/passwd", "not valid"),
    ],
)
def test_a_setting_that_is_not_valid_is_said(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        GitServerSettings.read({f"ROOKERY_GITSERVER_{name}": value})
