"""The command line on a state folder of its own, and a remote with two releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.gitops import Remote
from workflows.commands.options import Chosen


@pytest.fixture(autouse=True)
def nobody_says_how_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runner that works in parallel tells its workers a width; a pipe has none."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("ROOKERY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ROOKERY_APPLICATION", raising=False)
    monkeypatch.setattr(Chosen, "home", None)
    return Cli(capsys)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    made = Remote(tmp_path_factory.mktemp("remote") / "home")
    for version in (1, 2):
        zero = f"{version:064x}"
        made.release(version, f"sha256:{zero}", f"sha256:{zero}")
    return made
