"""A share is two weights in the component of production, and goes with the versions that it was set for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.common.errors import IntegrityError
from tests.support.release import digest, evidence, gitops, make_remote
from workflows.release.application import ApplicationFacts
from workflows.release.component import EMPTY, component_path, render_component
from workflows.release.release import write_release
from workflows.release.share import (
    GATEWAY_FACT,
    MOST,
    end_share,
    has_gateway,
    share_of,
    sharing_pair,
    with_share,
)
from workflows.release.tree import FolderTree, Tree

COMPONENT = render_component("rookery/digits", digest("image 7"), "7")


@pytest.mark.parametrize("percent", [1, 10, MOST])
def test_a_share_is_read_as_it_was_written(percent: int) -> None:
    shared = with_share(COMPONENT, percent)
    assert share_of(shared, "x") == percent
    assert share_of(with_share(shared, 3), "x") == 3
    assert with_share(shared, 0) == COMPONENT


def test_what_was_never_shared_has_no_share() -> None:
    assert [share_of(data, "x") for data in (None, EMPTY, COMPONENT)] == [0, 0, 0]


@pytest.mark.parametrize(
    "patches",
    [
        [{"patch": "[]"}],
        [{"target": {"kind": "Deployment"}, "patch": '[{"value": 90}, {"value": 10}]'}],
        [{"target": {"kind": "HTTPRoute"}, "patch": "no JSON"}],
        "text",
        yaml.safe_load(with_share(COMPONENT, 50).replace(b"50", b"60"))["patches"],
        yaml.safe_load(with_share(COMPONENT, 10).replace(b"90", b"80"))["patches"],
        yaml.safe_load(with_share(COMPONENT, 10).replace(b"10", b"true"))["patches"],
    ],
)
def test_patches_of_another_kind_are_no_share(patches: object) -> None:
    content = {**yaml.safe_load(COMPONENT), "patches": patches}
    with pytest.raises(IntegrityError, match="no share"):
        share_of(yaml.safe_dump(content).encode(), "x")


def test_the_pair_is_the_last_two() -> None:
    facts = {"name": "a", "title": "A", "kind": "image", "data_source": "a", "model_name": "cnn"}
    assert sharing_pair(ApplicationFacts.model_validate(facts)) == ("canary", "production")
    assert sharing_pair(ApplicationFacts.model_validate({**facts, "environments": ["only"]})) is None


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = gitops(make_remote(tmp_path), tmp_path / "cache").tree()
    for version, environment in ((7, "production"), (8, "canary"), (9, "staging")):
        write_release(made, evidence(version, environment=environment))
    path = component_path("digits", "production")
    made.write(path, with_share(made.read(path) or b"", 10))
    return made


def test_a_change_of_the_canary_ends_the_share(tree: Tree) -> None:
    assert end_share(tree, "digits", "canary") == ("production", 10)
    path = component_path("digits", "production")
    assert tree.read(path) == COMPONENT
    assert end_share(tree, "digits", "canary") is None


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_another_environment_ends_none(tree: Tree, environment: str) -> None:
    assert end_share(tree, "digits", environment) is None


def test_a_canary_that_stays_as_it_is_keeps_the_share(tree: Tree) -> None:
    del tree.changes[component_path("digits", "canary")]
    assert end_share(tree, "digits", "canary") is None


@pytest.mark.parametrize(
    ("fact", "there"),
    [(None, False), ("$patch: delete\nkind: any\n", False), ("- op: test\n", True)],
)
def test_the_facts_of_a_site_say_whether_it_has_a_gateway(
    tmp_path: Path, fact: str | None, there: bool
) -> None:
    if fact is not None:
        (tmp_path / GATEWAY_FACT).parent.mkdir(parents=True)
        (tmp_path / GATEWAY_FACT).write_text(fact)
    assert has_gateway(FolderTree(tmp_path)) is there


def test_a_fact_that_is_no_yaml_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / GATEWAY_FACT).parent.mkdir(parents=True)
    (tmp_path / GATEWAY_FACT).write_text("{")
    with pytest.raises(IntegrityError, match="no YAML"):
        has_gateway(FolderTree(tmp_path))
