"""How Label Studio is served in the cluster."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.studio import server
from services.studio.__main__ import main

GIVEN = {name: f"word-{number}" for number, name in enumerate(server.NEEDED)}


def test_no_secret_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "packages", lambda: "/opt/label_studio")
    arguments = server.command("0.0.0.0", 5000)
    assert not set(GIVEN.values()) & set(arguments)
    assert arguments[arguments.index("--bind") + 1] == "0.0.0.0:5000"
    assert arguments[arguments.index("--pythonpath") + 1] == "/opt/label_studio"


def test_nothing_is_sent_anywhere_and_it_reads_for_nobody_what_it_alone_reaches() -> None:
    made = server.environment(GIVEN)
    assert (made["COLLECT_ANALYTICS"], made["LATEST_VERSION_CHECK"], made["SENTRY_DSN"]) == ("0", "0", "")
    assert made["SSRF_PROTECTION_ENABLED"] == "true"
    assert made["ENABLE_LOCAL_FILES_STORAGE"] == made["LOCAL_FILES_SERVING_ENABLED"] == "false"
    assert made["POSTGRE_HOST"] == GIVEN["POSTGRE_HOST"]


def test_what_a_site_says_comes_first() -> None:
    assert server.environment({**GIVEN, "LOG_LEVEL": "DEBUG"})["LOG_LEVEL"] == "DEBUG"


@pytest.mark.parametrize("missing", server.NEEDED)
def test_what_is_missing_is_named_and_nothing_else_shown(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, "" if name == missing else value)
    assert main([]) == 1
    said = capsys.readouterr().err
    assert missing in said
    assert not any(value in said for value in GIVEN.values())


def test_a_token_that_the_table_has_no_room_for_is_refused_without_showing_it() -> None:
    assert server.environment({**GIVEN, "LABEL_STUDIO_USER_TOKEN": "x" * 40})
    with pytest.raises(InvalidInput, match="is too long") as told:
        server.environment({**GIVEN, "LABEL_STUDIO_USER_TOKEN": "x" * 41})
    assert "xx" not in str(told.value)


def test_where_it_is_not_installed_that_is_said() -> None:
    with pytest.raises(InvalidInput, match="not installed here"):
        server.packages()
