"""The same promotion over every kind of remote that can be had here."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.common.errors import Unavailable
from tests.support.release import evidence, git, gitops, make_remote, runs
from tests.support.release_http import git_over_http
from tests.support.servers import free_port
from workflows.release.gitops import GitOps
from workflows.release.history import history
from workflows.release.release import promote, release
from workflows.release.settings import GitSettings


def whole_way(ops: GitOps) -> None:
    release(ops, evidence(1))
    promote(ops, "digits", "staging", "canary", "1", running=runs(1), requested_by="t", workflow="p1")
    promote(ops, "digits", "canary", "production", "1", running=runs(1), requested_by="t", workflow="p2")


def test_a_file_address(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    whole_way(gitops(f"file://{remote}", tmp_path / "cache"))
    assert history(remote, "digits", "production")[0].action == "promote"


def test_http(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    git("config", "http.receivepack", "true", cwd=remote)
    with git_over_http(tmp_path) as url:
        whole_way(gitops(f"{url}/gitops.git", tmp_path / "cache"))
    assert history(remote, "digits", "production")[0].action == "promote"


def test_an_http_remote_that_asks_for_a_password_is_an_error_and_not_a_question(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    git("config", "http.receivepack", "false", cwd=remote)
    with git_over_http(tmp_path) as url, pytest.raises(Unavailable):
        release(gitops(f"{url}/gitops.git", tmp_path / "cache"), evidence(1))
    with pytest.raises(Unavailable, match="cannot be read"):
        gitops(f"http://127.0.0.1:{free_port()}/x.git", tmp_path / "cache").tip()


def test_http_with_a_password_that_no_argument_and_no_message_shows(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    git("config", "http.receivepack", "true", cwd=remote)
    password = "it's $(a) \\n 100%"
    with git_over_http(tmp_path, f"release:{password}") as url:
        known = GitSettings(username="release", password=SecretStr(password))
        whole_way(GitOps(f"{url}/gitops.git", tmp_path / "cache", known))
        for wrong in (GitSettings(), GitSettings(username="release", password=SecretStr("other"))):
            with pytest.raises(Unavailable, match="cannot be read") as caught:
                GitOps(f"{url}/gitops.git", tmp_path / f"cache-{wrong.username}", wrong).tip()
            assert "other" not in str(caught.value)
    assert history(remote, "digits", "production")[0].action == "promote"


def test_an_ssh_remote_is_called_without_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = make_remote(tmp_path)
    fake = tmp_path / "ssh"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(fake))
    whole_way(gitops(f"ssh://git@example.invalid{remote}", tmp_path / "cache"))
    assert "git@example.invalid" in (tmp_path / "called").read_text()
    assert history(remote, "digits", "production")[0].action == "promote"
