"""Started with a wrong setting it says so in a line and ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.board.__main__ import main


def test_an_open_door_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROOKERY_BOARD_STATE_DIR", str(tmp_path))
    assert main(["--host", "0.0.0.0"]) == 1
    said = capsys.readouterr().err
    assert "ROOKERY_BOARD_TOKEN" in said and said.count("\n") == 1


def test_a_misspelled_variable_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOKERY_BOARD_TOCKEN", "x")
    assert main([]) == 1
    assert "did you mean ROOKERY_BOARD_TOKEN" in capsys.readouterr().err


def test_a_cluster_that_nobody_knows_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["--cluster"]) == 1
    said = capsys.readouterr().err
    assert "no kubeconfig" in said and said.count("\n") == 1
