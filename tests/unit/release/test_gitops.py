"""One commit at a time, on the tip, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound, Refused, Unavailable
from tests.support.release import git, gitops, make_remote
from workflows.release.git import Git
from workflows.release.gitops import Done, GitOps, Message
from workflows.release.tree import Tree

PATH = "k8s/apps/digits/staging/release/note.txt"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


@pytest.fixture
def ops(remote: Path, tmp_path: Path) -> GitOps:
    return gitops(remote, tmp_path / "cache")


def note(text: bytes, **trailers: str) -> object:
    def change(tree: Tree) -> Message:
        tree.write(PATH, text)
        return Message("note", trailers or {"Action": "test"})

    return change


def test_a_commit_arrives_with_its_message(ops: GitOps, remote: Path) -> None:
    made = ops.commit(note(b"one", Action="test", Workflow="w"))  # type: ignore[arg-type]
    assert made.created
    assert git("rev-parse", "main", cwd=remote) == made.revision
    assert git(
        "log", "-1", "--format=%an <%ae>|%s|%(trailers:key=Workflow,valueonly)", "main", cwd=remote
    ).strip() == ("Rookery <rookery@localhost>|note|w")
    assert ops.read(PATH) == b"one"


def test_nothing_to_change_makes_no_commit(ops: GitOps) -> None:
    first = ops.commit(note(b"one"))  # type: ignore[arg-type]
    again = ops.commit(note(b"one"))  # type: ignore[arg-type]
    assert (again.revision, again.created) == (first.revision, False)


def test_done_and_refused_push_nothing(ops: GitOps, remote: Path) -> None:
    before = git("rev-parse", "main", cwd=remote)
    assert ops.commit(lambda tree: Done(tree.revision)).created is False

    def refuse(tree: Tree) -> Message:
        tree.write(PATH, b"never")
        raise Refused("no")

    with pytest.raises(Refused):
        ops.commit(refuse)
    assert git("rev-parse", "main", cwd=remote) == before


def test_when_the_tip_moves_the_change_is_made_again_on_the_new_one(
    ops: GitOps, remote: Path, tmp_path: Path
) -> None:
    other = gitops(remote, tmp_path / "other")
    parents = []

    def slow(tree: Tree) -> Message:
        parents.append(tree.revision)
        if len(parents) == 1:
            other.commit(note(b"faster"))  # type: ignore[arg-type]
        assert len(parents) == 1 or tree.read(PATH) == b"faster"
        tree.write(PATH, b"slower")
        return Message("slow", {"Action": "test"})

    made = ops.commit(slow)
    assert made.tries == 2
    assert git("log", "-2", "--format=%s", "main", cwd=remote).split() == ["slow", "note"]
    assert git("rev-parse", "main~1", cwd=remote) == parents[1]


def test_a_push_that_arrived_although_it_seemed_to_fail_counts_once(
    ops: GitOps, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = GitOps._push

    def broken(self: GitOps, revision: str) -> str | None:
        push(self, revision)
        return "the connection broke"

    monkeypatch.setattr(GitOps, "_push", broken)
    made = ops.commit(note(b"one"))  # type: ignore[arg-type]
    assert made.created
    assert git("rev-list", "--count", "main", cwd=remote) == "2"


def test_a_remote_that_refuses_is_named_after_a_few_tries(ops: GitOps, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'the branch is frozen' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Unavailable, match="the branch is frozen"):
        ops.commit(note(b"one"))  # type: ignore[arg-type]
    hook.unlink()
    assert ops.commit(note(b"one")).created  # type: ignore[arg-type]


def test_a_missing_remote_or_branch_is_said(tmp_path: Path, remote: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        gitops(tmp_path / "nowhere.git", tmp_path / "cache").tip()
    with pytest.raises(Unavailable, match="branch other"):
        gitops(remote, tmp_path / "cache", branch="other").tip()


def test_another_branch_can_be_followed(tmp_path: Path, remote: Path) -> None:
    git("branch", "live", "main", cwd=remote)
    live = gitops(remote, tmp_path / "cache", branch="live")
    live.commit(note(b"live"))  # type: ignore[arg-type]
    assert gitops(remote, tmp_path / "cache").read(PATH) is None
    assert live.read(PATH) == b"live"


def test_a_lost_cache_is_filled_again(ops: GitOps, remote: Path, tmp_path: Path) -> None:
    made = ops.commit(note(b"one"))  # type: ignore[arg-type]
    fresh = gitops(remote, tmp_path / "fresh")
    assert fresh.tree(made.revision).read(PATH) == b"one"
    with pytest.raises(NotFound):
        fresh.tree("0" * 40)
    with pytest.raises(InvalidInput):
        fresh.tree("--all")


def test_a_lock_that_a_killed_fetch_left_blocks_nobody(ops: GitOps, remote: Path, tmp_path: Path) -> None:
    ops.tip()
    (ops.path / "refs/remotes/origin/main.lock").touch()
    made = gitops(remote, tmp_path / "other").commit(note(b"one"))  # type: ignore[arg-type]
    assert ops.tip() == made.revision
    assert ops.commit(note(b"two")).created  # type: ignore[arg-type]


def test_a_lock_that_is_left_keeps_no_object_from_others(ops: GitOps, remote: Path, tmp_path: Path) -> None:
    other = gitops(remote, tmp_path / "other")

    def meanwhile(tree: Tree) -> Message:
        tree.write(PATH, b"two")
        tree.write_tree()
        if not (remote / "once").exists():
            (remote / "once").touch()
            other.commit(note(b"one"))  # type: ignore[arg-type]
            (ops.path / "refs/remotes/origin/main.lock").touch()
            gitops(remote, ops.path.parent).tip()
        return Message("two", {"Action": "test"})

    assert ops.commit(meanwhile).tries == 2


def test_no_hook_and_no_configuration_of_the_remote_decides(ops: GitOps) -> None:
    ops.tip()
    assert Git(ops.path).text("config", "--get", "core.hooksPath") == "/dev/null"


def test_hostile_text_stays_inside_its_line() -> None:
    message = Message(
        "title\n\nAction: promote",
        {"Action": "test", "Reason": "bad\nImage: sha256:0\r\n\u2028To: production"},
        ("a\n\nTo: x",),
    ).text()
    assert message.split("\n\n")[-1].splitlines() == [
        "Action: test",
        "Reason: bad Image: sha256:0 To: production",
    ]


def test_a_commit_that_was_never_pushed_is_not_in_the_branch(ops: GitOps) -> None:
    tree = ops.tree()
    tree.write(PATH, b"a")
    stray = ops._commit_object(tree, Message("stray", {"Action": "test"}))
    with pytest.raises(NotFound, match="no such commit"):
        ops.tree(stray)
    made = ops.commit(note(b"b"))  # type: ignore[arg-type]
    assert ops.tree(made.revision).read(PATH) == b"b"
