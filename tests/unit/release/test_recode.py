"""Which models go on a new serving base, what their evidence says, and who is blamed when it does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from services.bundle.reader import Bundle
from services.common.errors import Refused
from tests.support.release import digest, evidence, gitops, make_remote, runs
from workflows.release.base import BASE_DIGEST, ServingBase
from workflows.release.evidence import released
from workflows.release.gitops import GitOps
from workflows.release.quarantine import all_entries
from workflows.release.recode import ALL, Move, candidate, moves, recoded
from workflows.release.release import promote, release
from workflows.release.rollback import revert, rollback


def base(name: str) -> ServingBase:
    return ServingBase(
        files={}, config={}, labels={BASE_DIGEST: digest(name)}, name=f"host/serve@{digest(name)}"
    )


class Shelf:
    """Images of which only the labels matter: all are on the old base."""

    def name(self, application: str) -> str:
        return f"registry/rookery/{application}"

    def build(
        self, application: str, on: ServingBase, bundle: Path, labels: Mapping[str, str], *, promised: str
    ) -> str:
        raise AssertionError("a model is put on another base, not packed")

    def check(self, application: str, image: str) -> dict[str, str]:
        return {BASE_DIGEST: digest("old")}

    def bundle(self, application: str, image: str, bundle_digest: str) -> Bundle:
        raise AssertionError("the bundle of an image is not asked for")

    def rebase(self, application: str, image: str, on: ServingBase) -> str:
        return digest(f"{image} on {on.identity}")


@pytest.fixture
def ops(tmp_path: Path) -> GitOps:
    return gitops(make_remote(tmp_path, "digits", "birds"), tmp_path / "cache")


def moved(ops: GitOps, workflow: str = "release-code-1") -> str:
    move = candidate(ops.tree(), "digits")
    assert move is not None
    proof = recoded(
        Shelf(), move, base("new"), requested_by="t", workflow=workflow, released_at="2026-01-01T00:00:00Z"
    )
    return release(ops, proof).commit


def test_the_newest_model_is_moved_and_enters_at_the_first_environment(ops: GitOps) -> None:
    release(ops, evidence(1))
    promote(ops, "digits", "staging", "canary", "1", running=runs(1), requested_by="t", workflow="p")
    release(ops, evidence(2))
    found = moves(ops.tree(), "digits", base("new"), Shelf().check)
    assert [(move.evidence.model_version, move.environment) for move in found] == [("2", "staging")]


def test_of_all_applications_those_on_the_base_or_without_a_model_are_left_out(ops: GitOps) -> None:
    release(ops, evidence(1))
    assert [move.application for move in moves(ops.tree(), ALL, base("new"), Shelf().check)] == ["digits"]
    with pytest.raises(Refused, match=r"birds has no released model; version 1 of digits is on serving base"):
        moves(ops.tree(), ALL, base("old"), Shelf().check)


def test_the_evidence_names_the_base_and_the_image_before(ops: GitOps) -> None:
    release(ops, evidence(1))
    commit = moved(ops)
    proof = released(ops.tree(), "digits", "staging")
    assert proof is not None
    assert proof.evidence.rebased_from == digest("image 1")
    assert proof.evidence.serving_base == digest("new")
    assert proof.evidence.bundle_digest == digest("bundle 1")
    message = ops.git.text("log", "-1", "--format=%B", commit)
    assert "version 1 on serving base" in message
    assert "From: release-code" in message and f"Replaces: {digest('image 1')}" in message


def test_the_same_workflow_finds_its_own_commit(ops: GitOps) -> None:
    release(ops, evidence(1))
    assert moved(ops) == moved(ops)


def test_an_image_that_is_on_the_base_is_refused(ops: GitOps) -> None:
    class Same(Shelf):
        def rebase(self, application: str, image: str, on: ServingBase) -> str:
            return image

    with pytest.raises(Refused, match="already"):
        recoded(
            Same(), Move(evidence(1), "staging"), base("new"), requested_by="t", workflow="w", released_at="x"
        )


def test_a_failed_verification_blames_the_base_and_the_former_image_comes_back(ops: GitOps) -> None:
    release(ops, evidence(1))
    moved(ops)
    there = released(ops.tree(), "digits", "staging")
    assert there is not None
    done = revert(
        ops,
        "digits",
        "staging",
        image_digest=there.image_digest,
        reason="wrong",
        requested_by="v",
        workflow="w",
    )
    assert done.image_digest == digest("image 1")
    entries = all_entries(ops.tree(), "digits")
    assert [(entry.image_digest, entry.bundle_digest) for entry in entries] == [(there.image_digest, None)]
    promote(ops, "digits", "staging", "canary", "1", running=runs(1), requested_by="t", workflow="p")
    with pytest.raises(Refused, match="quarantine"):
        moved(ops, "release-code-2")


def test_whoever_rolls_back_by_hand_means_the_model(ops: GitOps) -> None:
    release(ops, evidence(1))
    release(ops, evidence(2))
    moved(ops)
    done = rollback(ops, "digits", "staging", reason="r", requested_by="t", workflow="r1", shut_out=True)
    assert done.model_version == "1"
    assert [entry.bundle_digest for entry in all_entries(ops.tree(), "digits")] == [digest("bundle 2")]
