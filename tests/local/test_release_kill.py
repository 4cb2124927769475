"""`kill -9` of a promotion between commit and push, and after the push: repeated, it is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.release import evidence, git, gitops, make_remote, runs
from workflows.release.gitops import GitOps
from workflows.release.history import history
from workflows.release.release import promote, release
from workflows.release.rollback import rollback

ROOT = Path(__file__).parents[2]
PROMOTE = """
import sys
from pathlib import Path
from tests.support.release import gitops, runs
from workflows.release.release import promote
promote(gitops(sys.argv[1], Path(sys.argv[2])), "digits", "staging", "canary", "1", running=runs(1),
        requested_by="a tester", workflow="the-workflow")
"""
ROLLBACK = """
import sys
from pathlib import Path
from tests.support.release import gitops
from workflows.release.rollback import rollback
rollback(gitops(sys.argv[1], Path(sys.argv[2])), "digits", "staging", reason="r", requested_by="t", workflow="back")
"""
# Stands before git on the path and stops at the push, before or after the real one.
WRAPPER = """#!/bin/bash
real={git}
for argument in "$@"; do
  if [ "$argument" = push ]; then
    {before}
    touch {marker}
    sleep 300
  fi
done
exec $real "$@"
"""


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


def killed_at_the_push(script: str, remote: Path, cache: Path, folder: Path, *, after: bool) -> None:
    wrapper, marker = folder / "bin" / "git", folder / "reached"
    wrapper.parent.mkdir()
    git_path = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    before = '$real "$@"' if after else ":"
    wrapper.write_text(WRAPPER.format(git=git_path, before=before, marker=marker))
    wrapper.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(remote), str(cache)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not marker.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # The wrapper has a session of its own, as every git that a release starts.
    for line in subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        if str(wrapper) in line:
            os.kill(int(line.split()[0]), signal.SIGKILL)


def again(ops: GitOps) -> bool:
    result = promote(
        ops,
        "digits",
        "staging",
        "canary",
        "1",
        running=runs(1),
        requested_by="a tester",
        workflow="the-workflow",
    )
    return result.already_done


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("same_cache", [True, False])
def test_a_promotion_is_made_once(remote: Path, tmp_path: Path, after: bool, same_cache: bool) -> None:
    cache = tmp_path / "cache"
    release(gitops(remote, cache), evidence(1))
    killed_at_the_push(PROMOTE, remote, cache, tmp_path, after=after)
    assert git("rev-list", "--count", "main", cwd=remote) == ("3" if after else "2")
    ops = gitops(remote, cache if same_cache else tmp_path / "elsewhere")
    assert again(ops) is after
    assert again(ops) is True
    assert [step.action for step in history(remote, "digits", "canary")] == ["promote", "by-hand"]
    assert git("fsck", "--strict", cwd=remote) is not None


@pytest.mark.parametrize("after", [False, True])
def test_a_rollback_goes_back_once(remote: Path, tmp_path: Path, after: bool) -> None:
    cache = tmp_path / "cache"
    ops = gitops(remote, cache)
    for number in (1, 2, 3):
        release(ops, evidence(number))
    killed_at_the_push(ROLLBACK, remote, cache, tmp_path, after=after)
    result = rollback(ops, "digits", "staging", reason="r", requested_by="t", workflow="back")
    assert (result.model_version, result.already_done) == ("2", after)
    assert [step.model_version for step in history(remote, "digits", "staging")] == ["2", "3", "2", "1", None]
