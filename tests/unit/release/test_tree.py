"""A tree reads one commit and keeps changes beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from tests.support.release import git, gitops, make_remote
from workflows.release.git import GitError
from workflows.release.tree import FolderTree, Tree, check_path

README = "README.md"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return gitops(make_remote(tmp_path), tmp_path / "cache").tree()


def test_it_reads_files_and_folders(tree: Tree) -> None:
    assert tree.read(README) == b"# for the tests\n"
    assert tree.read("nothing") is None
    assert tree.names("k8s/apps") == ["digits"]
    assert tree.names("nowhere") == []


def test_a_file_that_cannot_be_read_is_not_taken_for_a_missing_one(tree: Tree) -> None:
    for name in (README, "k8s/apps"):
        lost = tree.git.text("rev-parse", f"{tree.revision}:{name}")
        (tree.git.folder / "objects" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(GitError):
        tree.read(README)
    with pytest.raises(GitError):
        tree.names("k8s/apps")


def test_a_change_is_seen_and_the_commit_stays(tree: Tree) -> None:
    tree.write(README, b"new")
    assert tree.read(README) == b"new"
    assert tree.committed(README) == b"# for the tests\n"
    tree.delete(README)
    assert tree.read(README) is None


def test_writing_what_is_there_changes_nothing(tree: Tree) -> None:
    tree.write(README, b"other")
    tree.write(README, b"# for the tests\n")
    tree.delete("never/there")
    assert tree.changes == {}


def test_the_written_tree_has_the_changes_and_nothing_else(tree: Tree) -> None:
    tree.write("a/b/c.txt", b"\x00\xff binary\n")
    tree.delete(README)
    made = tree.write_tree()
    changed = tree.git.text("diff-tree", "-r", "--name-status", tree.revision, made)
    assert changed.split("\n") == ["D\tREADME.md", "A\ta/b/c.txt"]
    assert tree.git.run("cat-file", "blob", f"{made}:a/b/c.txt") == b"\x00\xff binary\n"


def test_a_checkout_reads_the_same(tmp_path: Path, tree: Tree) -> None:
    folder = FolderTree(tmp_path / "work")
    for path in git("ls-files", cwd=tmp_path / "work").splitlines():
        assert folder.read(path) == tree.read(path)
    assert folder.names("k8s/apps") == tree.names("k8s/apps")


@pytest.mark.parametrize(
    "path", ["", ".", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", ".git/config", "a:b", "a\nb", "a\\b"]
)
def test_a_path_that_leaves_the_repository_is_refused(tree: Tree, path: str) -> None:
    with pytest.raises(InvalidInput, match="no path inside"):
        check_path(path)
    with pytest.raises(InvalidInput):
        tree.write(path, b"")
