"""`prune`: what it shows and what it removes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.gitops import Remote
from tests.support.receivers import wait_until
from workflows.local import pruning
from workflows.local.runs import get_run


def test_prune_shows_what_would_go_and_removes_it(
    cli: Cli, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "`rookery up` first" in cli("prune").err
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    assert "nothing to remove" in cli("prune").out
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: once}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: rookery/x, command: ['true']}}]}\n"
    )
    assert cli("submit", "--file", file, "--wait").code == 0
    wait_until("the end of the engine", lambda: get_run(tmp_path / "home", "once").engine is None)
    monkeypatch.setattr(pruning, "_ENDED_SECONDS", 0.0)
    shown = cli("prune", "--older-than", "0", "--keep-runs", "0", "--dry-run")
    assert re.search(r"run +once +[\d.]+ kB +Succeeded", shown.out)
    assert cli("runs", "--json").json() != []
    done = cli("prune", "--older-than", "0", "--keep-runs", "0", "--json").json()
    assert [one["name"] for one in done["removed"]] == ["once"]
    assert cli("runs", "--json").json() == []
    assert cli("prune", "--keep-releases", "1").code == 2
