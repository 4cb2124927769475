"""`why`, `history`, `plan`: what git alone can answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.gitops import Remote, git


def test_why_and_history_need_a_bare_clone_only(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    clone = tmp_path / "clone.git"
    git(tmp_path, "clone", "-q", "--bare", str(remote.path), str(clone))
    why = cli("why", "staging", "--repo", clone)
    assert "digits staging runs version 2 (cnn)" in why.out
    steps = cli("history", "staging", "--repo", clone, "--json").json()
    assert [step["model_version"] for step in steps] == ["2", "1", None]
    assert cli("why", "staging", "--repo", clone, "--json").json()["evidence"]["run_id"] == f"{2:032x}"
    assert "Nothing is released" in cli("why", "production", "--repo", clone).out


def test_history_takes_the_repository_around(
    cli: Cli, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(remote.path), str(work))
    monkeypatch.chdir(work / "k8s" / "apps")
    assert "release version 2" in cli("history", "staging", "-n", "1").out
    monkeypatch.chdir(tmp_path)
    done = cli("history", "staging")
    assert done.code == 1
    assert "--repo" in done.err


def test_history_prefers_the_remote_of_this_machine(cli: Cli, remote: Remote) -> None:
    assert "release version 2" in cli("--home", remote.home, "history", "staging").out


def test_a_plan_says_what_would_change_and_what_would_refuse_it(cli: Cli, remote: Remote) -> None:
    done = cli("plan", "staging", "canary", "--repo", remote.path)
    assert done.code == 0
    assert "-p model-version=2" in done.out
    skipped = cli("plan", "staging", "production", "--repo", remote.path, "--json")
    assert skipped.code == 3
    assert "skips no environment" in " ".join(skipped.json()["refusals"])


def test_an_unknown_environment_is_told_with_those_of_its_application_alone(cli: Cli, tmp_path: Path) -> None:
    remote = Remote(tmp_path / "remote" / "home")
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    made = cli("app", "create", "shapes", "--data-source", "digits", "--kind", "image")
    assert made.code == 0, made.err
    done = cli("why", "prod")
    assert "digits staging, digits canary, digits production" in done.err or "digits canary" in done.err
    assert "shapes" not in done.err
    assert "shapes staging" in cli("why", "prod", "-a", "nothing").err
