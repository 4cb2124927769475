"""How Label Studio is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.labels.launch import command, credentials, install, main


def test_credentials_are_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    first = credentials(tmp_path / "state")
    assert credentials(tmp_path / "state") == first
    assert len({first["password"], first["token"], first["secret"]}) == 3
    assert (tmp_path / "state" / "credentials.json").stat().st_mode & 0o077 == 0


def test_no_secret_is_an_argument_and_nothing_is_sent_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    program = tmp_path / "label-studio"
    program.touch()
    argv, environment = command(program, tmp_path / "state", 5000)
    known = credentials(tmp_path / "state")
    assert not set(known.values()) & set(argv)
    assert environment["LABEL_STUDIO_USER_TOKEN"] == known["token"]
    assert (environment["COLLECT_ANALYTICS"], environment["LATEST_VERSION_CHECK"]) == ("0", "0")
    assert "PYTHONPATH" not in environment
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert argv[argv.index("--internal-host") + 1] == "127.0.0.1"


def test_what_is_not_installed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="not installed"):
        command(tmp_path / "none", tmp_path, 1)
    assert main(["--program", str(tmp_path / "none"), "--state", str(tmp_path)]) == 1
    assert ".ci/environment --labels" in capsys.readouterr().err


def test_another_program_is_not_installed_by_us(tmp_path: Path) -> None:
    install(tmp_path / "none", tmp_path / "never-run")
