"""`rookery share`, with real git and a cluster that is played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.release import evidence, gitops, make_remote, runs
from workflows.cluster import environments, traffic
from workflows.commands import share as command
from workflows.release.gitops import GitOps, Message
from workflows.release.history import history
from workflows.release.release import promote, release
from workflows.release.share import GATEWAY_FACT
from workflows.release.tree import Tree


class Site:
    """A cluster whose git is real."""

    def __init__(self, ops: GitOps) -> None:
        self.ops, self.kube = ops, object()

    def git(self) -> GitOps:
        return self.ops

    def tree(self) -> Tree:
        return self.ops.tree()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path)


@pytest.fixture
def waited(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Production has version 1 and the canary version 2; what was waited for."""
    ops = gitops(remote, tmp_path / "cache")

    def fact(tree: Tree) -> Message:
        tree.write(GATEWAY_FACT, b"- op: test\n")
        return Message("site: a gateway", {})

    ops.commit(fact)
    for version, last in (("1", 2), ("2", 1)):
        release(ops, evidence(version))
        for source, target in (("staging", "canary"), ("canary", "production"))[:last]:
            promote(ops, "digits", source, target, version, running=runs(version), requested_by="t",
                    workflow=f"p{version}")  # fmt: skip

    @contextmanager
    def site(_: str | None) -> Iterator[Site]:
        yield Site(ops)

    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(command, "cluster_site", site)
    monkeypatch.setattr(environments, "verify_there", lambda *_: SimpleNamespace(passed=True))
    monkeypatch.setattr(traffic, "await_share", lambda _, *rest: found.append(rest))
    yield found


def test_a_share_is_committed_and_awaited(cli: Cli, remote: Path, waited: list[tuple[Any, ...]]) -> None:
    done = cli("share", "digits", "10", "--cluster", "--reason", "a day beside 1")
    assert done.code == 0, done.err
    assert "10 % of the live traffic of digits goes to canary (version 2)" in " ".join(done.out.split())
    assert waited == [("digits", "production", 10, 120.0)]
    step = history(remote, "digits", "production")[0]
    assert step.trailers["Reason"] == "a day beside 1"
    assert step.trailers["Workflow"].startswith("rookery-share/")
    again = cli("share", "digits", "10", "--cluster", "--no-wait")
    assert "nothing was committed" in again.out and len(waited) == 1
    assert cli("share", "digits", "--cluster", "--json").json()["share"] == 10
    assert cli("share", "digits", "--repo", remote, "--json").json()["canary_version"] == "2"
    back = cli("share", "digits", "0", "--cluster", "--json")
    assert back.json()["share"] == 0 and waited[-1] == ("digits", "production", 0, 120.0)


def test_a_canary_that_is_not_what_git_says_gets_nothing(
    cli: Cli, remote: Path, waited: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    differs = SimpleNamespace(passed=False, differs="the registry alias")
    monkeypatch.setattr(environments, "verify_there", lambda *_: differs)
    done = cli("share", "digits", "10", "--cluster")
    assert done.code == 3 and "digits canary is not what git says: the registry alias" in done.err
    assert cli("share", "digits", "0", "--cluster").code == 0
    assert history(remote, "digits", "production")[0].action == "promote" and waited


@pytest.mark.usefixtures("waited")
def test_more_than_half_is_wrong(cli: Cli) -> None:
    done = cli("share", "digits", "51", "--cluster")
    assert done.code == 1 and "0 to 50 percent" in done.err


def test_one_machine_has_no_gateway(cli: Cli, remote: Path) -> None:
    done = cli("share", "digits", "10")
    assert done.code == 3 and "--cluster" in done.err
    assert "goes to production (version none)" in cli("share", "digits", "--repo", remote).out
