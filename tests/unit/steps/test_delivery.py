"""What a release that was overtaken, or whose image was damaged, comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.common.errors import IntegrityError, Refused, Unavailable
from tests.support.release import evidence, gitops, make_remote, runs
from workflows.release.gitops import Message
from workflows.release.release import promote, release
from workflows.release.share import GATEWAY_FACT
from workflows.release.sharing import set_share
from workflows.release.tree import Tree
from workflows.release.verify import Verification
from workflows.steps import care, delivery
from workflows.steps.care import Delivery
from workflows.steps.delivery import deliver_release, settle
from workflows.steps.releasing import commit_rollback
from workflows.steps.settings import StepSettings

PLACE = ("digits", "staging")


class Registry:
    """Stands in for MLflow and keeps what it was told."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.aliases: list[str] = []

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self.tags.append(version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases.append(version)


class Platform:
    """A remote with releases, and steps that work on it; no server answers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.remote = make_remote(folder)
        self.ops = gitops(self.remote, folder / "cache")
        self.registry = Registry()
        monkeypatch.setenv("ROOKERY_GIT_REMOTE", str(self.remote))
        monkeypatch.setenv("ROOKERY_CACHE", str(folder / "steps"))
        monkeypatch.setenv("ROOKERY_IMAGES", f"oci:{folder}/images")
        monkeypatch.setenv("ROOKERY_ENVIRONMENT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("ROOKERY_DELIVERY_SECONDS", "0.3")
        monkeypatch.setattr(care, "registry", lambda *_: self.registry)
        monkeypatch.setattr(care.Delivery, "bundle", lambda _: _Bundle())
        monkeypatch.setattr(care, "verify_golden", lambda *_: _failed())

    def release(self, version: int) -> Delivery:
        commit = release(self.ops, evidence(version)).commit
        return Delivery(StepSettings(), *PLACE, commit)


class _Bundle:
    class golden:  # noqa: N801
        inputs = (b"",)


def _failed() -> Verification:
    return Verification(False, 1, 0, 1.0, 0.0, 1.0, 1e-3, "", "", ["answered by another bundle"])


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    return Platform(tmp_path, monkeypatch)


def test_the_answers_of_a_successor_do_not_condemn_a_release(platform: Platform) -> None:
    first = platform.release(1)
    assert first.verify()[0] == "failed"
    platform.release(2)
    verdict, reason, _ = first.verify()
    assert verdict == "superseded"
    assert "another release" in reason


def test_a_successor_that_came_at_the_last_moment_is_noticed(platform: Platform) -> None:
    first = platform.release(1)
    assert first.wait()[0] == "failed"
    platform.release(2)
    assert first.wait()[0] == "superseded"


def test_the_alias_stays_with_the_successor(platform: Platform) -> None:
    first = platform.release(1)
    second = platform.release(2)
    for one in (second, first):
        one.confirm("", "3.5")
    assert platform.registry.tags == ["2", "1"]
    assert platform.registry.aliases == ["2"]


def test_a_registry_that_is_away_at_the_end_is_told_as_what_is_outstanding(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise Unavailable("MLflow at http://127.0.0.1:9 did not answer for 120 s")

    first = platform.release(1)
    monkeypatch.setattr(platform.registry, "set_alias", away)
    with pytest.raises(Unavailable) as error:
        first.confirm("", "3.5")
    assert platform.registry.tags == [], "what is recorded as verified has its alias"
    told = str(error.value)
    assert told.startswith("version 1 of digits in staging runs and answered its golden inputs as expected")
    assert "the alias staging in MLflow: MLflow at http://127.0.0.1:9 did not answer for 120 s" in told
    assert f"deliver-release -p application=digits -p environment=staging -p commit={first.commit}" in told


def test_a_record_that_cannot_be_written_is_told_as_what_is_outstanding(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = platform.release(1)
    monkeypatch.setattr(care.Delivery, "see_through", lambda *_, **__: None)
    monkeypatch.setenv("ROOKERY_MLFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ROOKERY_MLFLOW_PATIENCE_SECONDS", "0.1")
    with pytest.raises(SystemExit) as end:
        deliver_release(*PLACE, first.commit, "withdraw", "", "promote-model", "[]", "p-x", "7")
    assert end.value.code == 1
    said = capsys.readouterr().out
    assert (
        "version 1 of digits in staging runs, is verified and has its alias; outstanding is the record"
        in said
    )


def test_a_rollback_to_what_nobody_verified_is_warned_of(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in (1, 2):
        platform.release(version)
    commit_rollback(*PLACE, "too slow", "true", "somebody", "rollback-model-x", "7")
    assert "warning: Git has no record that version 1 ever passed a verification." in capsys.readouterr().out


def test_a_damaged_image_fails_the_verification_so_that_it_is_withdrawn(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise IntegrityError("a blob of the image store was altered")

    monkeypatch.setattr(care.Delivery, "bundle", broken)
    verdict, reason, _ = platform.release(1).verify()
    assert verdict == "failed"
    assert "altered" in reason


def test_whoever_goes_on_after_a_withdrawal_says_what_was_done_and_commits_nothing(
    platform: Platform,
) -> None:
    platform.release(1)
    second = platform.release(2)
    with pytest.raises(Refused, match="was withdrawn"):
        second.see_through("", keep=False, workflow="train-model-x/7")
    tip = platform.ops.tip()
    again = Delivery(StepSettings(), *PLACE, second.commit)
    with pytest.raises(
        Refused, match=r"version 2 .* was withdrawn \(.*did not run.*\); version 1 is not back"
    ):
        again.see_through("", keep=False, workflow="train-model-x/7")
    assert platform.ops.tip() == tip


def test_another_workflow_takes_a_withdrawn_release_for_superseded(platform: Platform) -> None:
    platform.release(1)
    second = platform.release(2)
    with pytest.raises(Refused, match="was withdrawn"):
        second.see_through("", keep=False, workflow="train-model-x/7")
    again = Delivery(StepSettings(), *PLACE, second.commit)
    with pytest.raises(Refused, match="superseded"):
        again.see_through("", keep=False, workflow="train-model-y/8")


def test_a_cluster_that_cannot_be_looked_at_condemns_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOKERY_ROLLOUT_API", "http://127.0.0.1:9")
    first = platform.release(1)
    tip = platform.ops.tip()
    with pytest.raises(
        Unavailable, match=r"whether digits staging runs image .* is not known: the Kubernetes API"
    ):
        first.see_through("", keep=False, workflow="train-model-x/7")
    assert platform.ops.tip() == tip


def test_a_release_that_shall_stay_stays(platform: Platform) -> None:
    first = platform.release(1)
    tip = platform.ops.tip()
    with pytest.raises(Refused, match="stays, as was asked"):
        first.see_through("", keep=True, workflow="rollback-model-x/7")
    assert platform.ops.tip() == tip


def test_a_share_of_traffic_does_not_hide_what_is_left_to_settle(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fact(tree: Tree) -> Message:
        tree.write(GATEWAY_FACT, b"- op: test\n")
        return Message("site: a gateway", {})

    platform.ops.commit(fact)
    commits = []
    for version, last in (("1", 2), ("2", 1)):
        platform.release(int(version))
        for source, target in (("staging", "canary"), ("canary", "production"))[:last]:
            done = promote(platform.ops, "digits", source, target, version, running=runs(version),
                           requested_by="t", workflow=f"promote-{version}")  # fmt: skip
            commits.append(done.commit)
    set_share(platform.ops, "digits", 10, verified=lambda _: None, requested_by="t", workflow="share")
    seen: list[tuple[str, ...]] = []

    class Noted:
        what = "version 1"

        def __init__(self, _: StepSettings, *place: str) -> None:
            seen.append(place)

        def is_confirmed(self, _: str) -> bool:
            return True

    monkeypatch.setattr(delivery, "Delivery", Noted)
    settle(StepSettings(), "digits", "production", "withdraw", "", "promote-1")
    assert seen == [("digits", "production", commits[1])]
