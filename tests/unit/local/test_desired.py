"""What the deployer reads from git."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.errors import NotFound, RookeryError
from tests.support.gitops import Remote, git
from workflows.local.desired import read_desired, read_tip
from workflows.local.policies import write_policies
from workflows.local.serving import Record, Release, Serving
from workflows.local.settings import PlatformSettings
from workflows.release.component import component_path
from workflows.release.gitops import Message
from workflows.release.tree import Tree

IMAGE = "sha256:" + "1" * 64
BUNDLE = "sha256:" + "2" * 64


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "home")


def _commit(remote: Remote, path: str, data: bytes | None) -> None:
    def change(tree: Tree) -> Message:
        if data is None:
            tree.delete(path)
        else:
            tree.write(path, data)
        return Message("Change", {"Action": "test"})

    remote.gitops.commit(change)


def _desired(remote: Remote) -> dict[tuple[str, str], Release | RookeryError | None]:
    return read_desired(remote.path, read_tip(remote.path))


def test_the_tip_is_read_from_loose_and_packed_references(remote: Remote) -> None:
    tip = git(remote.path, "rev-parse", "main")
    assert read_tip(remote.path) == tip
    git(remote.path, "pack-refs", "--all")
    assert not (remote.path / "refs" / "heads" / "main").exists()
    assert read_tip(remote.path) == tip


def test_a_missing_branch_or_repository_is_told(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no branch other"):
        read_tip(remote.path, "other")
    with pytest.raises(NotFound, match="no branch main"):
        read_tip(tmp_path / "nothing.git")


def test_a_release_has_its_digests_port_and_commit(remote: Remote) -> None:
    assert set(_desired(remote).values()) == {None}
    commit = remote.release(3, IMAGE, BUNDLE).commit
    _commit(remote, "README.md", b"something else\n")
    port = remote.ports["staging"]
    assert _desired(remote) == {
        ("digits", "staging"): Release("digits", "staging", IMAGE, BUNDLE, "3", port, commit),
        ("digits", "canary"): None,
        ("digits", "production"): None,
    }


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (component_path("digits", "staging"), b"images: [{name: rookery/model, digest: latest}]\n"),
        ("k8s/apps/digits/staging/release/evidence.json", b"{}"),
        ("k8s/apps/digits/staging/release/evidence.json", None),
        ("k8s/apps/digits/application.yaml", b"name: digits\nport: 1\n"),
        ("k8s/apps/digits/application.yaml", b": : :"),
    ],
)
def test_what_cannot_be_understood_is_a_problem_and_not_an_empty_environment(
    remote: Remote, path: str, data: bytes | None
) -> None:
    remote.release(1, IMAGE, BUNDLE)
    _commit(remote, path, data)
    assert isinstance(_desired(remote)["digits", "staging"], RookeryError)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda r: Release(**{**vars(r), "commit": "other"}), True),
        (lambda r: Release(**{**vars(r), "model_version": "9"}), False),
        (lambda r: Release(**{**vars(r), "port": 1}), False),
        (lambda r: Release(**{**vars(r), "image_digest": BUNDLE}), False),
    ],
)
def test_only_another_commit_of_the_same_release_needs_no_new_process(
    change: Callable[[Release], Release], same: bool
) -> None:
    release = Release("digits", "staging", IMAGE, BUNDLE, "1", 8081, "c")
    assert (change(release).key == release.key) is same


def test_the_record_of_processes_survives_and_a_torn_one_is_empty(tmp_path: Path) -> None:
    from workflows.local.processes import Process

    record = Record(tmp_path)
    serving = Serving(Process(1, "2"), Release("digits", "staging", IMAGE, BUNDLE, "1", 8081, "c"), 3.0)
    record.write({"serving": serving, "starting": None})
    assert record.read() == {"serving": serving}
    for text in ('{"serving": {"process": {}}}', '{"serving": 1}', "{", "[]"):
        record.path.write_text(text)
        assert record.read() == {}


def test_the_policies_are_those_of_the_commit(remote: Remote) -> None:
    settings = PlatformSettings(home=remote.home)
    _commit(remote, "k8s/apps/digits/policy.yaml", b"floors: {accuracy: 0.9}\n")
    write_policies(settings, read_tip(remote.path))
    file = remote.home / "policies" / "digits" / "policy.yaml"
    assert file.read_bytes() == b"floors: {accuracy: 0.9}\n"
    _commit(remote, "k8s/apps/digits/policy.yaml", None)
    write_policies(settings, read_tip(remote.path))
    assert not file.exists()
