"""Twenty at once from clones of their own: none lost, none doubled, in order, the stale ones refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.release import evidence, git, gitops, make_remote
from workflows.release.evidence import released
from workflows.release.history import history
from workflows.release.release import release

ROOT = Path(__file__).parents[2]
ONE = """
import json, sys, time
from pathlib import Path
from services.common.errors import RookeryError
from tests.support.release import evidence, gitops, runs
from workflows.release.release import promote, release
remote, cache, what, version, name, start = sys.argv[1:]
ops = gitops(remote, Path(cache))
application, action = what.split("/")
time.sleep(max(0, float(start) - time.time()))
try:
    if action == "release":
        result = release(ops, evidence(version, application=application, workflow=name))
    else:
        result = promote(ops, application, "staging", "canary", version, running=runs(version),
                         requested_by="a tester", workflow=name)
    print(json.dumps([name, version, result.commit, result.already_done, result.tries]))
except RookeryError as error:
    print(json.dumps([name, version, None, error.code, str(error)]))
"""


def at_once(remote: Path, folder: Path, jobs: list[tuple[str, int, str]]) -> list[list[object]]:
    """Run each job (what, version, workflow) in a process with a clone of its own; their answers."""
    import time

    start = str(time.time() + 4)
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                ONE,
                str(remote),
                str(folder / f"clone{at}"),
                what,
                str(version),
                name,
                start,
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for at, (what, version, name) in enumerate(jobs)
    ]
    answers = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(jobs)
    return [json.loads(answer) for answer in answers]


def log(remote: Path) -> list[str]:
    return git(
        "log", "--reverse", "--format=%(trailers:key=Workflow,valueonly,separator=)", "main", cwd=remote
    ).split()


@pytest.mark.slow
def test_twenty_versions_at_once(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    answers = at_once(remote, tmp_path, [("digits/release", n, f"w{n}") for n in range(1, 21)])
    committed = [answer for answer in answers if answer[2]]
    refused = [answer for answer in answers if not answer[2]]
    assert {answer[3] for answer in refused} <= {"refused"}
    assert all("stale" in str(answer[4]) for answer in refused)
    order = [int(name[1:]) for name in log(remote)]
    assert order == sorted(order) and order[-1] == 20
    assert sorted(name for name, *_ in committed) == sorted(log(remote))
    for _, version, *_ in refused:
        assert int(str(version)) < 20
    now = released(gitops(remote, tmp_path / "after").tree(), "digits", "staging")
    assert now is not None and now.evidence.model_version == "20"


@pytest.mark.slow
def test_twenty_promotions_of_one_version_are_one_commit(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    release(gitops(remote, tmp_path / "first"), evidence(1))
    answers = at_once(remote, tmp_path, [("digits/promote", 1, f"p{n}") for n in range(20)])
    assert len({answer[2] for answer in answers}) == 1
    assert sum(1 for answer in answers if answer[3] is False) == 1
    assert len(history(remote, "digits", "canary")) == 2


@pytest.mark.slow
def test_twenty_promotions_of_different_applications_all_arrive(tmp_path: Path) -> None:
    names = [f"app{n}" for n in range(20)]
    remote = make_remote(tmp_path, *names)
    first = gitops(remote, tmp_path / "first")
    for name in names:
        release(first, evidence(1, application=name))
    answers = at_once(remote, tmp_path, [(f"{name}/promote", 1, f"p-{name}") for name in names])
    assert all(answer[3] is False for answer in answers), answers
    assert sorted(log(remote)[-20:]) == sorted(f"p-{name}" for name in names)
    assert all(len(line.split()) <= 1 for line in git("log", "--format=%P", "main", cwd=remote).splitlines())
    for name in names:
        assert [step.action for step in history(remote, name, "canary")] == ["promote", "by-hand"]
