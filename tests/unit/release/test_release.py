"""A version enters at staging and goes on one environment at a time, or is refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.errors import NotFound, Refused, Unavailable
from tests.support.release import ACCEPTED, digest, evidence, git, gitops, make_remote, runs
from workflows.release.evidence import Evidence, Gate, released
from workflows.release.gitops import GitOps
from workflows.release.release import ReleaseResult, check_promotion, promote, release
from workflows.release.rollback import revert, rollback
from workflows.release.running import RunningModel

WHO = {"requested_by": "a tester"}


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


@pytest.fixture
def ops(remote: Path, tmp_path: Path) -> GitOps:
    return gitops(remote, tmp_path / "cache")


def to_canary(ops: GitOps, version: int = 1, workflow: str = "p", **more: object) -> ReleaseResult:
    running = more.pop("running", runs(version))
    return promote(
        ops,
        "digits",
        "staging",
        "canary",
        str(version),
        running=running,
        workflow=workflow,
        **WHO,
        **more,  # type: ignore[arg-type]
    )


def count(remote: Path) -> int:
    return int(git("rev-list", "--count", "main", cwd=remote))


def test_a_release_is_one_commit_in_one_folder(ops: GitOps, remote: Path) -> None:
    before = count(remote)
    result = release(ops, evidence(1))
    assert (result.already_done, result.current, result.image_digest) == (False, True, digest("image 1"))
    assert count(remote) == before + 1
    changed = git("diff-tree", "-r", "--name-only", "--no-commit-id", result.commit, cwd=remote).split()
    assert changed == [
        "k8s/apps/digits/staging/release/evidence.json",
        "k8s/apps/digits/staging/release/kustomization.yaml",
    ]


def test_the_trailers_name_everything(ops: GitOps, remote: Path) -> None:
    result = release(ops, evidence(1))
    lines = git("log", "-1", "--format=%(trailers:only)", result.commit, cwd=remote).splitlines()
    found = dict(line.split(": ", 1) for line in lines if line)
    assert found == {
        "Application": "digits",
        "Action": "release",
        "Model": "cnn",
        "Model-Version": "1",
        "Run": "run1",
        "Image": digest("image 1"),
        "From": "train-model",
        "To": "staging",
        "Workflow": "train-model-1",
        "Requested-By": "a tester",
    }


def test_releasing_again_finds_the_commit(ops: GitOps, remote: Path) -> None:
    first = release(ops, evidence(1))
    again = release(ops, evidence(1))
    other = release(ops, evidence(1, workflow="another"))
    assert {first.commit, again.commit, other.commit} == {first.commit}
    assert again.already_done and other.already_done
    assert count(remote) == 2


def test_a_version_that_failed_its_gate_is_refused(ops: GitOps, remote: Path) -> None:
    gate = Gate(decision="refused", reasons=["accuracy 0.4 is below 0.9"], policy_digest="x")
    with pytest.raises(Refused, match=r"accuracy 0\.4 is below 0\.9"):
        release(ops, evidence(1, gate=gate))
    assert count(remote) == 1


def test_an_older_version_is_stale(ops: GitOps) -> None:
    release(ops, evidence(5))
    with pytest.raises(Refused, match="stale"):
        release(ops, evidence(4))
    release(ops, evidence(10))


def test_the_same_version_on_a_new_base_is_not_stale(ops: GitOps) -> None:
    release(ops, evidence(5))
    result = release(ops, evidence(5, image_digest=digest("new base"), workflow="release-code"))
    assert not result.already_done


def test_only_the_first_environment_takes_new_versions(ops: GitOps) -> None:
    with pytest.raises(Refused, match="first environment"):
        release(ops, evidence(1, environment="production"))
    with pytest.raises(NotFound):
        release(ops, evidence(1, environment="moon"))
    with pytest.raises(NotFound, match="digits"):
        release(ops, evidence(1, application="birds"))


def test_a_promotion_carries_the_same_bytes_and_says_from_where(ops: GitOps) -> None:
    release(ops, evidence(1))
    result = to_canary(ops, source_verification={"passed": True, "items": 8, "p95_ms": 2.0})
    found = released(ops.tree(), "digits", "canary")
    assert found is not None
    assert found.evidence.image_digest == digest("image 1") == result.image_digest
    assert found.evidence.source_environment == "staging"
    assert found.evidence.source_verification == {"passed": True, "items": 8, "p95_ms": 2.0}
    assert found.evidence.action == "promote"
    assert found.evidence.gate == ACCEPTED


def test_a_promotion_says_on_what_it_stands(ops: GitOps) -> None:
    release(ops, evidence(1))
    asked: list[str] = []

    def stands_on(proof: Evidence) -> dict[str, str]:
        asked.append(proof.environment)
        return {"kind": "golden inputs alone"}

    to_canary(ops, stands_on=stands_on)
    found = released(ops.tree(), "digits", "canary")
    assert found is not None and found.evidence.stands_on == {"kind": "golden inputs alone"}
    assert asked == ["staging"]


def test_what_it_should_stand_on_may_refuse_it(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    before = count(remote)

    def stands_on(proof: Evidence) -> dict[str, str]:
        raise Refused("the judge says `not enough evidence`")

    with pytest.raises(Refused, match="not enough evidence"):
        to_canary(ops, stands_on=stands_on)
    assert count(remote) == before


def test_an_environment_may_not_be_skipped(ops: GitOps) -> None:
    release(ops, evidence(1))
    with pytest.raises(Refused, match="staging to canary, canary to production"):
        promote(ops, "digits", "staging", "production", "1", running=runs(1), workflow="p", **WHO)


def test_the_source_must_have_this_version(ops: GitOps) -> None:
    with pytest.raises(Refused, match="nothing is released to digits staging"):
        to_canary(ops)
    release(ops, evidence(2))
    with pytest.raises(Refused, match="another version"):
        to_canary(ops, 1)


@pytest.mark.parametrize(
    ("running", "message"),
    [
        (runs(9), "another bundle"),
        (lambda: RunningModel(digest("bundle 1"), digest("image 9")), "another image"),
        (lambda: RunningModel(""), "another bundle"),
    ],
)
def test_the_source_must_run_it(ops: GitOps, running: Callable[[], RunningModel], message: str) -> None:
    release(ops, evidence(1))
    with pytest.raises(Refused, match=message):
        to_canary(ops, running=running)


def test_a_source_that_does_not_answer_stops_the_promotion(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))

    def silent() -> RunningModel:
        raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        to_canary(ops, running=silent)
    assert count(remote) == 2


def test_the_registrys_verdict_of_today_counts(ops: GitOps) -> None:
    release(ops, evidence(1))
    with pytest.raises(Refused, match="withdrawn by hand"):
        to_canary(ops, gate=Gate(decision="refused", reasons=["withdrawn by hand"], policy_digest="x"))


def test_a_promotion_repeated_by_its_workflow_finds_its_commit(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    first = to_canary(ops)
    again = to_canary(ops)
    assert (again.commit, again.already_done, again.current) == (first.commit, True, True)
    assert count(remote) == 3


def test_a_repeated_promotion_that_was_overtaken_says_so(ops: GitOps) -> None:
    release(ops, evidence(1))
    first = to_canary(ops, 1, "one")
    release(ops, evidence(2))
    to_canary(ops, 2, "two")
    again = to_canary(ops, 1, "one")
    assert (again.commit, again.already_done, again.current) == (first.commit, True, False)


def test_a_promotion_older_than_what_the_target_has_is_stale(ops: GitOps) -> None:
    release(ops, evidence(2))
    release(ops, evidence(3))
    to_canary(ops, 3, "three")
    release(ops, evidence(3, image_digest=digest("image 3b"), workflow="again"))
    release(ops, evidence(4))
    to_canary(ops, 4, "four")
    rollback(ops, "digits", "staging", reason="r", workflow="back", **WHO)
    rollback(ops, "digits", "staging", reason="r", workflow="back2", **WHO)
    with pytest.raises(Refused, match="stale"):
        to_canary(ops, 3, "late")


def test_what_is_in_quarantine_anywhere_is_refused_everywhere(ops: GitOps) -> None:
    release(ops, evidence(1))
    to_canary(ops)
    revert(
        ops, "digits", "canary", image_digest=digest("image 1"), reason="golden differ", workflow="p", **WHO
    )
    with pytest.raises(Refused, match="golden differ"):
        to_canary(ops, 1, "again")
    with pytest.raises(Refused, match="golden differ"):
        to_canary(ops, 1, "p")
    with pytest.raises(Refused, match="golden differ"):
        release(ops, evidence(1, workflow="again"))
    with pytest.raises(Refused, match="golden differ"):
        release(ops, evidence(2, bundle_digest=digest("bundle 1"), workflow="packed-anew"))


def test_checking_a_promotion_commits_nothing(ops: GitOps, remote: Path) -> None:
    release(ops, evidence(1))
    before = count(remote)
    proof = check_promotion(ops, "digits", "staging", "canary", "1", running=runs(1))
    assert proof.image_digest == digest("image 1")
    with pytest.raises(Refused):
        check_promotion(ops, "digits", "staging", "canary", "1", running=runs(2))
    assert count(remote) == before
