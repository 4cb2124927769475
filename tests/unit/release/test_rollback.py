"""Going back is a new commit, and never to something bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidInput, NotFound, Refused, RookeryError
from tests.support.release import digest, evidence, git, gitops, make_remote, runs
from workflows.release.component import EMPTY, component_path
from workflows.release.evidence import released
from workflows.release.gitops import GitOps
from workflows.release.history import history
from workflows.release.quarantine import find, lift, read_quarantine
from workflows.release.release import promote, release
from workflows.release.rollback import previous_good, revert, rollback

WHO = {"requested_by": "a tester"}


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


@pytest.fixture
def ops(remote: Path, tmp_path: Path) -> GitOps:
    return gitops(remote, tmp_path / "cache")


def version(ops: GitOps, environment: str = "staging") -> str | None:
    found = released(ops.tree(), "digits", environment)
    return found.evidence.model_version if found else None


def back(ops: GitOps, workflow: str, **more: bool) -> str | None:
    return rollback(
        ops, "digits", "staging", reason="too slow", workflow=workflow, **WHO, **more
    ).model_version


def test_it_restores_the_release_before_with_new_evidence(ops: GitOps, remote: Path) -> None:
    first = release(ops, evidence(1))
    release(ops, evidence(2))
    result = rollback(ops, "digits", "staging", reason="too slow", workflow="rb", **WHO)
    assert (result.model_version, result.image_digest) == ("1", digest("image 1"))
    found = released(ops.tree(), "digits", "staging")
    assert found is not None
    assert (found.evidence.action, found.evidence.restored_from) == ("rollback", first.commit)
    assert git("rev-list", "--count", "main", cwd=remote) == "4"
    assert (
        git("log", "-1", "--format=%(trailers:key=Reason,valueonly)", "main", cwd=remote).strip()
        == "too slow"
    )


def test_going_back_twice_goes_two_back_and_not_forward_again(ops: GitOps) -> None:
    for number in (1, 2, 3):
        release(ops, evidence(number))
    assert [back(ops, "a"), back(ops, "b")] == ["2", "1"]
    with pytest.raises(Refused, match="no earlier good release"):
        back(ops, "c")
    assert version(ops) == "1"


def test_the_same_workflow_goes_back_once(ops: GitOps) -> None:
    for number in (1, 2, 3):
        release(ops, evidence(number))
    first = rollback(ops, "digits", "staging", reason="r", workflow="rb", **WHO)
    again = rollback(ops, "digits", "staging", reason="r", workflow="rb", **WHO)
    assert again.already_done and again.commit == first.commit
    assert version(ops) == "2"


def test_a_release_in_quarantine_is_passed_over(ops: GitOps) -> None:
    for number in (1, 2, 3):
        release(ops, evidence(number))
    revert(ops, "digits", "staging", image_digest=digest("image 2"), reason="bad", workflow="q", **WHO)
    assert version(ops) == "3"
    good = previous_good(ops.tree(), "digits", "staging")
    assert good is not None and good.model_version == "1"
    assert back(ops, "rb") == "1"


def test_a_version_left_without_quarantine_may_come_again(ops: GitOps) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    back(ops, "rb")
    assert not release(ops, evidence(2, workflow="again")).already_done
    assert version(ops) == "2"


def test_shutting_out_writes_the_quarantine_in_the_same_commit(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    result = rollback(ops, "digits", "staging", reason="wrong labels", workflow="rb", shut_out=True, **WHO)
    changed = git("diff-tree", "-r", "--name-only", "--no-commit-id", result.commit, cwd=remote)
    assert "quarantine.json" in changed and "evidence.json" in changed
    entry = find(ops.tree(), "digits", digest("image 2"))
    assert entry is not None and entry.reason == "wrong labels"


@pytest.mark.parametrize("shut_out", [False, True])
def test_a_rollback_with_nothing_before_is_refused_and_leaves_all_as_it_was(
    ops: GitOps, shut_out: bool
) -> None:
    commit = release(ops, evidence(1)).commit
    with pytest.raises(Refused, match="no earlier good release"):
        rollback(ops, "digits", "staging", reason="r", workflow="rb", shut_out=shut_out, **WHO)
    assert ops.tip() == commit
    assert version(ops) == "1"


def test_reverting_the_first_release_empties_the_environment(ops: GitOps) -> None:
    result = release(ops, evidence(1))
    back_to = revert(
        ops, "digits", "staging", image_digest=digest("image 1"), reason="bad", workflow="rv", **WHO
    )
    assert back_to.image_digest is None
    tree = ops.tree()
    assert tree.read(component_path("digits", "staging")) == EMPTY
    assert released(tree, "digits", "staging") is None
    assert result.commit in git("log", "--format=%H", "main", cwd=ops.path.parent.parent / "gitops.git")


def test_a_revert_does_not_take_a_newer_release_away(ops: GitOps) -> None:
    for number in (1, 2, 3):
        release(ops, evidence(number))
    revert(
        ops, "digits", "staging", image_digest=digest("image 2"), reason="late verdict", workflow="rv", **WHO
    )
    assert version(ops) == "3"
    assert [entry.model_version for entry in read_quarantine(ops.tree(), "digits", "staging").entries] == [
        "2"
    ]


def test_a_revert_repeated_changes_nothing_more(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    arguments = {"image_digest": digest("image 2"), "reason": "bad", "workflow": "rv", **WHO}
    first = revert(ops, "digits", "staging", **arguments)
    count = git("rev-list", "--count", "main", cwd=remote)
    again = revert(ops, "digits", "staging", **arguments)
    assert (again.commit, again.already_done) == (first.commit, True)
    assert git("rev-list", "--count", "main", cwd=remote) == count


def test_nothing_to_go_back_from_or_to_is_said(ops: GitOps) -> None:
    with pytest.raises(Refused, match="nothing is released"):
        back(ops, "rb")
    with pytest.raises(NotFound, match="never released"):
        revert(ops, "digits", "staging", image_digest=digest("image 7"), reason="r", workflow="rv", **WHO)
    with pytest.raises(InvalidInput):
        revert(ops, "digits", "staging", image_digest="latest", reason="r", workflow="rv", **WHO)
    with pytest.raises(NotFound):
        rollback(ops, "digits", "moon", reason="r", workflow="rb", **WHO)


def test_a_digest_can_leave_the_quarantine(ops: GitOps) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    revert(ops, "digits", "staging", image_digest=digest("image 2"), reason="bad", workflow="rv", **WHO)
    lift(ops, "digits", digest("image 2"), reason="the network was at fault", workflow="lift-1", **WHO)
    assert find(ops.tree(), "digits", digest("image 2")) is None
    assert not release(ops, evidence(2, workflow="again")).already_done
    with pytest.raises(NotFound, match="in quarantine"):
        lift(ops, "digits", digest("image 2"), reason="r", workflow="lift-2", **WHO)


def _promote(ops: GitOps, number: int, *, passed: bool | None) -> None:
    release(ops, evidence(number))
    record = None if passed is None else {"passed": passed, "items": 8, "p95_ms": 2.0}
    promote(
        ops,
        "digits",
        "staging",
        "canary",
        str(number),
        running=runs(number),
        source_verification=record,
        workflow=f"promote-{number}",
        **WHO,
    )


@pytest.mark.parametrize(
    ("records", "restored", "warned"),
    [
        ([True, True, True], "2", False),
        ([True, None, True], "1", False),
        ([True, False, None], "1", False),
        ([None, None, True], "2", True),
        ([False, None, True], "2", True),
    ],
)
def test_a_release_whose_verification_is_recorded_comes_first(
    ops: GitOps, remote: Path, records: list[bool | None], restored: str, warned: bool
) -> None:
    for number, passed in enumerate(records, 1):
        _promote(ops, number, passed=passed)
    good = previous_good(ops.tree(), "digits", "canary")
    result = rollback(ops, "digits", "canary", reason="r", workflow="rb", **WHO)
    assert result.model_version == restored
    assert good is not None and good.model_version == restored
    assert ("no record that version 2" in result.warning) is warned
    assert (result.warning in git("log", "-1", "--format=%B", "main", cwd=remote)) is True
    again = rollback(ops, "digits", "canary", reason="r", workflow="rb", **WHO)
    assert again.already_done


def test_the_first_environment_goes_back_one_and_says_when_nothing_is_recorded(ops: GitOps) -> None:
    _promote(ops, 1, passed=True)
    for number in (2, 3):
        release(ops, evidence(number))
    first = rollback(ops, "digits", "staging", reason="r", workflow="one", **WHO)
    assert first.model_version == "2"
    assert "version 2 ever passed" in first.warning
    second = rollback(ops, "digits", "staging", reason="r", workflow="two", **WHO)
    assert (second.model_version, second.warning) == ("1", "")


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["release", "canary", "rollback", "shut-out", "revert"]), st.integers(1, 5)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_whatever_is_done_history_stays_linear_and_git_never_names_what_was_shut_out(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("linear")
    remote = make_remote(folder)
    ops = gitops(remote, folder / "cache")
    for at, (action, number) in enumerate(actions):
        name = f"w{at}"
        try:
            if action == "release":
                release(ops, evidence(number, workflow=name))
            elif action == "canary":
                promote(
                    ops,
                    "digits",
                    "staging",
                    "canary",
                    str(number),
                    running=runs(number),
                    workflow=name,
                    **WHO,
                )
            elif action == "revert":
                bad = digest(f"image {number}")
                revert(ops, "digits", "staging", image_digest=bad, reason="r", workflow=name, **WHO)
            else:
                rollback(
                    ops, "digits", "staging", reason="r", workflow=name, shut_out=action == "shut-out", **WHO
                )
        except RookeryError:
            continue
        finally:
            now = released(ops.tree(), "digits", "staging")
            assert now is None or find(ops.tree(), "digits", now.image_digest) is None
    parents = git("log", "--format=%P", "main", cwd=remote).split("\n")
    assert all(len(line.split()) <= 1 for line in parents)
    commits = git("rev-list", "main", cwd=remote).split()[:-1]
    for commit in commits:
        changed = git("diff-tree", "-r", "--name-only", "--no-commit-id", commit, cwd=remote).split()
        folders = {path.rsplit("/", 1)[0] for path in changed}
        assert len(folders) == 1 and folders.pop().endswith("/release")
    seen = [step.commit for env in ("staging", "canary") for step in history(remote, "digits", env)[:-1]]
    assert sorted(seen) == sorted(commits)
