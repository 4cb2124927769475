"""A plan says what would change and every check that would refuse it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import NotFound, Unavailable
from tests.support.release import digest, evidence, gitops, make_remote, runs
from workflows.release.gitops import GitOps
from workflows.release.plan import plan
from workflows.release.release import promote, release
from workflows.release.rollback import revert
from workflows.release.running import RunningModel


@pytest.fixture
def ops(tmp_path: Path) -> GitOps:
    return gitops(make_remote(tmp_path), tmp_path / "cache")


def test_into_an_empty_environment(ops: GitOps) -> None:
    release(ops, evidence(1))
    tip = ops.tip()
    found = plan(ops, "digits", "staging", "canary", running=runs(1))
    assert found.possible
    facts = {difference.field: (difference.before, difference.after) for difference in found.differences}
    assert facts["model_version"] == (None, "1")
    assert facts["metric"] == (None, "accuracy 0.97")
    assert f"+  digest: {digest('image 1')}" in found.diff
    assert json.dumps(found.as_dict())
    assert ops.tip() == tip


def test_only_what_differs_is_listed(ops: GitOps) -> None:
    release(ops, evidence(1))
    promote(ops, "digits", "staging", "canary", "1", running=runs(1), requested_by="t", workflow="p")
    assert plan(ops, "digits", "staging", "canary").differences == []
    release(ops, evidence(2))
    fields = {difference.field for difference in plan(ops, "digits", "staging", "canary").differences}
    assert fields == {"model_version", "image_digest", "bundle_digest", "run_id"}


def test_every_refusal_is_listed(ops: GitOps) -> None:
    assert plan(ops, "digits", "staging", "canary").refusals == ["nothing is released to digits staging"]
    release(ops, evidence(1))
    revert(
        ops, "digits", "staging", image_digest=digest("image 1"), reason="bad", requested_by="t", workflow="r"
    )
    release(ops, evidence(2))

    def silent() -> RunningModel:
        raise Unavailable("no answer")

    found = plan(ops, "digits", "staging", "production", running=silent)
    assert not found.possible
    assert [reason.split(" (")[0] for reason in found.refusals] == [
        "a promotion skips no environment",
        "no answer",
    ]


def test_unknown_names(ops: GitOps) -> None:
    with pytest.raises(NotFound):
        plan(ops, "digits", "staging", "moon")
    with pytest.raises(NotFound):
        plan(ops, "moths", "staging", "canary")
