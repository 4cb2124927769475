"""Git is called without hooks, questions or leftovers of the caller's environment, and in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, Unavailable
from tests.support.release import git as as_person
from tests.support.release import make_remote
from workflows.release.git import Git, GitError, check_remote
from workflows.release.settings import GitSettings


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


def test_the_message_of_git_is_kept(remote: Path) -> None:
    with pytest.raises(GitError, match="nothing-of-this-name"):
        Git(remote).run("cat-file", "blob", "nothing-of-this-name")


def test_variables_of_the_caller_do_not_lead_astray(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_remote(tmp_path / "other", "birds")
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody else")
    found = Git(remote)
    assert "digits" in found.text("ls-tree", "-r", "--name-only", "main")
    assert found.text("var", "GIT_AUTHOR_IDENT").startswith("Rookery <rookery@localhost>")


def test_the_identity_comes_from_the_settings(remote: Path) -> None:
    settings = GitSettings(author_name="Night Shift", author_email="night@localhost")
    assert (
        Git(remote, settings).text("var", "GIT_COMMITTER_IDENT").startswith("Night Shift <night@localhost>")
    )


def test_a_hook_does_not_run(tmp_path: Path, remote: Path) -> None:
    work = tmp_path / "work"
    hook = work / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    hook.chmod(0o755)
    Git(work).run("commit", "--quiet", "--allow-empty", "-m", "no hook")
    assert not (tmp_path / "ran").exists()
    assert as_person("log", "-1", "--format=%s", cwd=work) == "no hook"


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path, remote: Path) -> None:
    marker = tmp_path / "alive"
    slow = f"!sh -c 'sleep 60; touch {marker}'"
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=r"within 0\.3 s"):
        Git(remote, GitSettings(timeout_seconds=0.3)).run("-c", f"alias.slow={slow}", "slow")
    assert time.monotonic() - begun < 40
    time.sleep(0.2)
    assert not marker.exists()


@pytest.mark.parametrize(
    "remote", ["/srv/a.git", "file:///srv/a.git", "https://h/a.git", "ssh://git@h/a", "git@h:a.git"]
)
def test_addresses_that_git_takes(remote: str) -> None:
    assert check_remote(remote) == remote


@pytest.mark.parametrize("remote", ["", "--upload-pack=touch /tmp/x", "ext::sh -c id", "fd::17", "a\nb"])
def test_an_option_or_a_command_is_no_address(remote: str) -> None:
    with pytest.raises(InvalidInput, match="no git remote"):
        check_remote(remote)
