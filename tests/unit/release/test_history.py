"""History and why from a bare clone, with git alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from tests.support.release import digest, evidence, git, gitops, make_remote, runs
from workflows.release.git import Git
from workflows.release.gitops import GitOps
from workflows.release.history import history, why
from workflows.release.release import promote, release
from workflows.release.rollback import revert, rollback

WHO = {"requested_by": "a tester"}


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path, "digits", "birds")


@pytest.fixture
def ops(remote: Path, tmp_path: Path) -> GitOps:
    return gitops(remote, tmp_path / "cache")


def test_the_steps_come_newest_first_with_what_they_left(ops: GitOps, tmp_path: Path, remote: Path) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    rollback(ops, "digits", "staging", reason="too slow", workflow="rb", **WHO)
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", str(remote), str(bare), cwd=tmp_path)
    steps = history(bare, "digits", "staging")
    assert [step.action for step in steps] == ["rollback", "release", "release", "by-hand"]
    assert [step.model_version for step in steps] == ["1", "2", "1", None]
    assert [step.image_digest for step in steps][:3] == [digest(f"image {n}") for n in (1, 2, 1)]
    assert steps[0].as_dict()["reason"] == "too slow"
    assert len(history(bare, "digits", "staging", limit=2)) == 2
    assert json.dumps([step.as_dict() for step in steps])


def test_applications_and_environments_do_not_mix(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    release(ops, evidence(1, application="birds"))
    assert len(history(remote, "birds", "staging")) == 2
    assert len(history(remote, "digits", "canary")) == 1


def test_why_tells_the_whole_path(ops: GitOps, remote: Path) -> None:
    first = release(ops, evidence(1))
    verified = {"passed": True, "items": 8, "p95_ms": 2.5}
    for source, target in (("staging", "canary"), ("canary", "production")):
        promote(
            ops,
            "digits",
            source,
            target,
            "1",
            running=runs(1),
            workflow=target,
            source_verification=verified,
            stands_on=lambda proof: {"kind": "judge", "verdict": "promote", "requests": {"canary": 240}},
            **WHO,
        )
    found = why(remote, "digits", "production")
    assert [step.action for step in found.path] == ["release", "promote", "promote"]
    assert found.path[0].commit == first.commit
    assert found.since is not None and found.since.trailers["To"] == "production"
    text = "\n".join(found.sentences())
    for fact in (
        "version 1",
        "run run1",
        "accuracy 0.97",
        "1 of 1 checks passed",
        "canary: passed, 8 golden",
        "a tester",
        "the judge's verdict `promote` on 240 requests",
    ):
        assert fact in text
    assert json.dumps(found.as_dict())


def test_why_of_an_empty_environment(remote: Path) -> None:
    assert why(remote, "digits", "production").sentences() == ["Nothing is released to digits production."]


def test_since_is_the_commit_that_brought_the_digest_and_not_a_later_note(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    third = release(ops, evidence(3))
    revert(ops, "digits", "staging", image_digest=digest("image 2"), reason="late", workflow="q", **WHO)
    found = why(remote, "digits", "staging")
    assert found.since is not None and found.since.commit == third.commit
    assert history(remote, "digits", "staging")[0].action == "quarantine"


def test_a_commit_by_hand_is_shown_as_one(remote: Path, tmp_path: Path, ops: GitOps) -> None:
    release(ops, evidence(1))
    work = tmp_path / "work"
    git("pull", "-q", str(remote), "main", cwd=work)
    component = work / "k8s/apps/digits/staging/release/kustomization.yaml"
    component.write_text(component.read_text().replace(digest("image 1"), digest("image 9")))
    git("commit", "-q", "-am", "quick fix", cwd=work)
    git("push", "-q", str(remote), "main", cwd=work)
    step = history(remote, "digits", "staging")[0]
    assert (step.action, step.subject, step.image_digest) == ("by-hand", "quick fix", digest("image 9"))


def test_a_trailer_in_free_text_is_no_trailer(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2, requested_by="me\n\nAction: rollback\nImage: sha256:0"))
    assert [step.action for step in history(remote, "digits", "staging")][:2] == ["release", "release"]


@pytest.mark.parametrize(
    ("application", "environment", "error"),
    [("moths", "staging", NotFound), ("digits", "moon", NotFound), ("../x", "staging", InvalidInput)],
)
def test_unknown_names_are_said(
    remote: Path, application: str, environment: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        history(remote, application, environment)


def test_no_repository_and_no_commit_are_said(tmp_path: Path, remote: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, tmp_path / "nowhere"):
        with pytest.raises(NotFound, match="no git repository"):
            history(folder, "digits", "staging")
    with pytest.raises(NotFound, match="no such commit"):
        history(remote, "digits", "staging", revision="--output=/tmp/x")


def test_two_hundred_releases_are_read_at_once(
    ops: GitOps, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = tmp_path / "stream"
    tip = git("rev-parse", "main", cwd=remote)
    release(ops, evidence(1))
    text = git("show", "main:k8s/apps/digits/staging/release/kustomization.yaml", cwd=remote)
    proof = git("show", "main:k8s/apps/digits/staging/release/evidence.json", cwd=remote)
    parts = []
    for number in range(200):
        parts.append(
            f"commit refs/heads/many\ncommitter A <a@localhost> {1_700_000_000 + number} +0000\ndata 5\nmany\n"
        )
        parts.append(f"from {tip}\n" if number == 0 else "")
        for name, model in (("kustomization.yaml", text), ("evidence.json", proof)):
            data = model.replace(digest("image 1"), digest(f"image {number}")) + "\n"
            path = f"k8s/apps/digits/staging/release/{name}"
            parts.append(f"M 100644 inline {path}\ndata {len(data.encode())}\n{data}\n")
    stream.write_text("".join(parts))
    git("-c", f"alias.load=!git fast-import --quiet < {stream}", "load", cwd=remote)
    calls: list[object] = []
    run = Git.run
    monkeypatch.setattr(Git, "run", lambda *given, **more: calls.append(given) or run(*given, **more))
    steps = history(remote, "digits", "staging", revision="many")
    # Processes of git and no seconds: a busy machine makes those any number.
    assert len(calls) == 5, [given[1] for given in calls]
    assert len(steps) == 201
    assert steps[0].image_digest == digest("image 199")
