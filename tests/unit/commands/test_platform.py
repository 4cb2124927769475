"""`status` and `down` without a platform that runs."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.gitops import Remote
from workflows.local.status import EnvironmentStatus


def test_purging_nothing_says_so(cli: Cli, tmp_path: Path) -> None:
    done = cli("down", "--purge", "--yes")
    assert done.code == 0
    assert f"nothing to delete: there is no {tmp_path / 'home'}" in done.out


def test_a_narrow_status_breaks_no_word(cli: Cli, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("--home", remote.home, "status")
    assert done.code == 1
    line = next(line for line in done.out.splitlines() if " staging " in line)
    assert re.search(r" 2 +000000000000 +\d{4}-\d\d-\d\d \d\d:\d\d ", line)
    assert line.endswith(" nobody answers")
    assert all(len(line) <= 80 for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"phase": "empty", "health": ""}, True),
        ({"phase": "failed"}, False),
        ({"health": "down"}, False),
        ({"drift": "nobody answers"}, False),
    ],
)
def test_an_environment_that_failed_is_not_good(change: dict[str, str], good: bool) -> None:
    texts = dict.fromkeys([field.name for field in fields(EnvironmentStatus)], "")
    status = EnvironmentStatus(**{**texts, "phase": "running", "health": "ok", **change})  # type: ignore[arg-type]
    assert status.good is good
