"""Live traffic is divided by commits, with real git: who may get a share, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound, Refused
from tests.support.release import evidence, git, gitops, make_remote, runs
from workflows.release.component import component_path
from workflows.release.evidence import Evidence, released
from workflows.release.gitops import GitOps, Message
from workflows.release.history import history, why
from workflows.release.quarantine import add
from workflows.release.release import promote, release
from workflows.release.rollback import previous_good, revert, rollback
from workflows.release.share import GATEWAY_FACT, share_of
from workflows.release.sharing import Sharing, read_sharing, set_share
from workflows.release.tree import Tree

WHO = {"requested_by": "a tester"}


def write(ops: GitOps, path: str, data: bytes) -> None:
    def change(tree: Tree) -> Message:
        tree.write(path, data)
        return Message("site: a fact", {})

    ops.commit(change)


def up_to(ops: GitOps, version: int, target: str) -> None:
    """Release a version and promote it as far as one environment."""
    release(ops, evidence(version))
    for source, name in (("staging", "canary"), ("canary", "production")):
        promote(
            ops, "digits", source, name, str(version), running=runs(version), workflow=f"p-{version}", **WHO
        )
        if name == target:
            return


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


@pytest.fixture
def ops(remote: Path, tmp_path: Path) -> GitOps:
    """Production has version 1, the canary version 2, and the site a gateway."""
    made = gitops(remote, tmp_path / "cache")
    write(made, GATEWAY_FACT, b"- op: test\n")
    up_to(made, 1, "production")
    up_to(made, 2, "canary")
    return made


def share(
    ops: GitOps, percent: int, verified: Callable[[Evidence], None] = lambda _: None
) -> tuple[Sharing, bool]:
    return set_share(ops, "digits", percent, verified=verified, workflow="share-1", reason="why not", **WHO)


def now(ops: GitOps) -> int:
    path = component_path("digits", "production")
    return share_of(ops.read(path), path)


def test_a_share_is_one_commit_that_says_who_and_why(ops: GitOps, remote: Path) -> None:
    found, made = share(ops, 10)
    assert made and (found.share, found.canary_version, found.live_version) == (10, "2", "1")
    assert now(ops) == 10
    changed = git("show", "--name-only", "--format=%s", "main", cwd=remote).splitlines()
    assert changed[0].startswith(
        "release: digits production: 10 % of the live traffic to canary, version 2 ("
    )
    assert changed[-1] == component_path("digits", "production") and len(changed) == 3
    step = history(remote, "digits", "production")[0]
    assert step.action == "share" and step.model_version == "1"
    wanted = {
        "Share": "10",
        "Model-Version": "2",
        "From": "canary",
        "Requested-By": "a tester",
        "Reason": "why not",
    }
    assert wanted.items() <= step.trailers.items()
    assert "10 % of the live traffic of digits goes to canary (version 2), 90 %" in found.sentence()
    assert found.commit == step.commit and found.as_dict()["requested_by"] == "a tester"


def test_the_same_share_again_is_no_commit(ops: GitOps) -> None:
    share(ops, 10)
    tip = ops.tip()
    found, made = share(ops, 10)
    assert (found.share, made, ops.tip()) == (10, False, tip)


def test_going_back_is_a_commit_that_nothing_refuses(ops: GitOps) -> None:
    share(ops, 50)

    def never(_: Evidence) -> None:
        raise AssertionError("nobody is asked")

    found, made = share(ops, 0, never)
    assert made and (found.share, found.commit) == (0, "") and now(ops) == 0
    assert found.sentence() == "All live traffic of digits goes to production (version 1)."
    assert share(ops, 0, never)[1] is False


@pytest.mark.parametrize("percent", [-1, 51, 100])
def test_more_than_half_is_no_share(ops: GitOps, percent: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 50 percent"):
        share(ops, percent)


def test_without_a_gateway_there_is_nothing_to_divide(ops: GitOps) -> None:
    write(ops, GATEWAY_FACT, b"$patch: delete\n")
    with pytest.raises(Refused, match="no gateway"):
        share(ops, 10)


def test_an_application_from_before_there_were_gateways_is_told_what_it_lacks(ops: GitOps) -> None:
    path = "k8s/apps/digits/production/kustomization.yaml"
    write(ops, path, (ops.read(path) or b"").replace(b"- ../../../serve/gateway\n", b""))
    with pytest.raises(Refused, match="digits production has no gateway"):
        share(ops, 10)
    assert share(ops, 0)[1] is False


def test_a_canary_that_does_not_hold_gets_nothing(ops: GitOps) -> None:
    tip = ops.tip()

    def no(proof: Evidence) -> None:
        raise Refused(f"version {proof.model_version} is not what git says")

    with pytest.raises(Refused, match="version 2 is not what git says"):
        share(ops, 10, no)
    assert ops.tip() == tip


def test_the_canary_is_asked_again_when_it_changed_before_the_push(ops: GitOps) -> None:
    asked: list[str] = []

    def verified(proof: Evidence) -> None:
        asked.append(proof.model_version)
        if len(asked) == 1:
            up_to(ops, 3, "canary")

    found, _ = share(ops, 10, verified)
    assert asked == ["2", "3"] and found.canary_version == "3"


def test_nothing_released_same_version_older_version_and_quarantine_are_refused(
    remote: Path, tmp_path: Path
) -> None:
    made = gitops(remote, tmp_path / "cache")
    write(made, GATEWAY_FACT, b"- op: test\n")
    with pytest.raises(Refused, match="nothing is released to digits canary"):
        share(made, 10)
    up_to(made, 1, "canary")
    with pytest.raises(Refused, match="nothing is released to digits production"):
        share(made, 10)
    up_to(made, 2, "production")
    with pytest.raises(Refused, match="have the same version"):
        share(made, 10)
    rollback(made, "digits", "canary", reason="no", workflow="rb", **WHO)
    with pytest.raises(Refused, match="an older version"):
        share(made, 10)
    up_to(made, 3, "canary")

    def shut_out(tree: Tree) -> Message:
        found = released(tree, "digits", "canary")
        assert found is not None
        add(tree, found.evidence, "staging", reason="poisoned", workflow="w", **WHO)
        return Message("release: digits staging: quarantine", {})

    made.commit(shut_out)
    with pytest.raises(Refused, match="in quarantine"):
        share(made, 10)


def test_an_application_with_one_environment_shares_with_nobody(remote: Path, tmp_path: Path) -> None:
    made = gitops(remote, tmp_path / "cache")
    path = "k8s/apps/digits/application.yaml"
    facts = (made.read(path) or b"").replace(b"- staging\n- canary\n", b"")
    write(made, path, facts.split(b"ports:")[0])
    with pytest.raises(NotFound, match="no environment before production"):
        share(made, 10)


def test_a_promotion_of_production_ends_the_share(ops: GitOps, remote: Path) -> None:
    share(ops, 10)
    promote(ops, "digits", "canary", "production", "2", running=runs(2), workflow="p", **WHO)
    assert now(ops) == 0
    assert history(remote, "digits", "production")[0].action == "promote"


def test_a_rollback_of_production_ends_the_share_and_knows_no_share(ops: GitOps) -> None:
    up_to(ops, 2, "production")
    up_to(ops, 3, "canary")
    share(ops, 10)
    share(ops, 20)
    good = previous_good(ops.tree(), "digits", "production")
    assert good is not None and good.model_version == "1"
    assert rollback(ops, "digits", "production", reason="x", workflow="rb", **WHO).model_version == "1"
    assert now(ops) == 0


@pytest.mark.parametrize("how", ["promote", "rollback", "revert"])
def test_another_version_in_the_canary_ends_the_share_in_the_same_commit(
    ops: GitOps, remote: Path, how: str
) -> None:
    share(ops, 25)
    before = git("rev-parse", "main:k8s/apps/digits/production/release/evidence.json", cwd=remote)
    tip = ops.tip()
    if how == "promote":
        release(ops, evidence(3))
        tip = ops.tip()
        promote(ops, "digits", "staging", "canary", "3", running=runs(3), workflow="p-3", **WHO)
    elif how == "rollback":
        rollback(ops, "digits", "canary", reason="x", workflow="rb", **WHO)
    else:
        bad = evidence(2).image_digest
        revert(ops, "digits", "canary", image_digest=bad, reason="x", workflow="rv", **WHO)
    assert now(ops) == 0
    assert git("rev-list", "--count", f"{tip}..main", cwd=remote) == "1"
    assert git("rev-parse", "main:k8s/apps/digits/production/release/evidence.json", cwd=remote) == before
    canary, live = (history(remote, "digits", name)[0] for name in ("canary", "production"))
    assert canary.commit == live.commit and (canary.action, live.action) == (how, "share")
    assert live.trailers["Share"] == "0"
    assert "The 25 % of the live traffic of production" in git("log", "-1", "--format=%b", "main", cwd=remote)
    assert not read_sharing(ops.tree(), "digits").share


def test_a_share_changes_neither_since_when_nor_why(ops: GitOps, remote: Path) -> None:
    before = why(remote, "digits", "production")
    share(ops, 10)
    after = why(remote, "digits", "production")
    assert after.since == before.since and after.path == before.path
    assert (before.share, after.share, after.as_dict()["share"]) == (0, 10, 10)
    assert "10 % of its live traffic goes to the environment before it." in after.sentences()
    assert [step.action for step in history(remote, "digits", "production")][:2] == ["share", "promote"]
