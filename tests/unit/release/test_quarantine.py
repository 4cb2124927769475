"""A list that cannot be read lets nothing pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import IntegrityError, Refused
from tests.support.release import digest, evidence, gitops, make_remote
from workflows.release import quarantine
from workflows.release.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return gitops(make_remote(tmp_path, "digits", "birds"), tmp_path / "cache").tree()


def shut_out(tree: Tree, number: int, environment: str = "canary", **more: str) -> None:
    text = {"reason": "r", "requested_by": "t", "workflow": "w", **more}
    quarantine.add(tree, evidence(number), environment, **text)


def test_an_entry_counts_in_every_environment_and_only_for_its_application(tree: Tree) -> None:
    shut_out(tree, 1, "production")
    with pytest.raises(Refused, match="production"):
        quarantine.refuse_quarantined(tree, evidence(1))
    quarantine.refuse_quarantined(tree, evidence(2))
    quarantine.refuse_quarantined(tree, evidence(1, application="birds"))


def test_the_bundle_counts_as_well_as_the_image(tree: Tree) -> None:
    shut_out(tree, 1)
    for one in (digest("image 1"), digest("bundle 1")):
        assert quarantine.find(tree, "digits", one) is not None
    assert quarantine.find(tree, "digits", digest("image 2")) is None


def test_a_digest_is_listed_once(tree: Tree) -> None:
    shut_out(tree, 1)
    shut_out(tree, 1, reason="again")
    shut_out(tree, 2)
    entries = quarantine.read_quarantine(tree, "digits", "canary").entries
    assert [(entry.model_version, entry.reason) for entry in entries] == [("1", "r"), ("2", "r")]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"schema": "rookery.quarantine/1", "entries": [1]}', b'{"x": 1}']
)
def test_a_broken_list_refuses(tree: Tree, data: bytes) -> None:
    tree.write(quarantine.quarantine_path("digits", "canary"), data)
    with pytest.raises(IntegrityError, match="no quarantine list"):
        quarantine.refuse_quarantined(tree, evidence(1))


def test_a_hostile_reason_is_one_line(tree: Tree) -> None:
    shut_out(tree, 1, reason="a\n\nAction: promote\x1b[31m")
    assert quarantine.all_entries(tree, "digits")[0].reason == "a Action: promote [31m"
