"""Evidence is strict, complete and fits the component beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.common.errors import IntegrityError, InvalidInput
from tests.support.release import evidence, gitops, make_remote
from workflows.release.component import component_path, render_component
from workflows.release.evidence import Evidence, Gate, evidence_path, released, timestamp
from workflows.release.release import write_release
from workflows.release.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return gitops(make_remote(tmp_path), tmp_path / "cache").tree()


def test_it_comes_back_from_its_bytes() -> None:
    proof = evidence(3)
    assert Evidence.from_bytes(proof.to_bytes(), "x") == proof
    assert proof.to_bytes() == Evidence.from_bytes(proof.to_bytes(), "x").to_bytes()


def test_it_holds_the_whole_identity() -> None:
    content = json.loads(evidence(3).to_bytes())
    for key in (
        "model_name", "model_version", "run_id", "dataset_digest", "bundle_digest", "image_digest", "code_revision",
        "metric", "gate", "source_environment", "source_verification", "stands_on", "requested_by", "workflow",
        "released_at",
    ):  # fmt: skip
        assert key in content
    assert content["schema"] == "rookery.evidence/1"
    assert content["gate"]["checks"][0]["bound"] == 0.9


@pytest.mark.parametrize("changes", [{"image_digest": "latest"}, {"colour": "red"}, {"metric": None}])
def test_a_wrong_field_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        evidence(1, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_version": "1\nImage: x"},
        {"run_id": "a b"},
        {"workflow": "w\nAction: promote"},
        {"image_name": "host/../x y"},
        {"application": "../../etc"},
        {"model_name": ""},
    ],
)
def test_what_may_not_stand_in_a_path_or_trailer_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        evidence(1, **changes).checked()


def test_the_gate_is_taken_from_its_report() -> None:
    gate = Gate.from_report(
        {
            "decision": "refused",
            "reasons": ["too low"],
            "checks": [],
            "policy_digest": "sha256:0",
            "report": "x",
        }
    )
    assert (gate.decision, gate.reasons) == ("refused", ["too low"])
    with pytest.raises(InvalidInput):
        Gate.from_report({"decision": "perhaps", "policy_digest": "x"})


def test_nothing_released_is_nothing(tree: Tree) -> None:
    assert released(tree, "digits", "staging") is None


def test_what_is_released_is_read_back(tree: Tree) -> None:
    write_release(tree, evidence(2))
    found = released(tree, "digits", "staging")
    assert found is not None
    assert found.evidence == evidence(2, released_at=found.evidence.released_at)


def test_a_component_changed_by_hand_no_longer_fits(tree: Tree) -> None:
    write_release(tree, evidence(2))
    other = render_component("rookery/digits", evidence(9).image_digest, "9")
    tree.write(component_path("digits", "staging"), other)
    with pytest.raises(IntegrityError, match="do not fit"):
        released(tree, "digits", "staging")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"schema": "rookery.evidence/2"}', b"\xff"])
def test_evidence_that_cannot_be_read_is_an_error_and_not_an_empty_environment(
    tree: Tree, data: bytes
) -> None:
    write_release(tree, evidence(2))
    tree.write(evidence_path("digits", "staging"), data)
    with pytest.raises(IntegrityError, match="no evidence"):
        released(tree, "digits", "staging")
    tree.changes[evidence_path("digits", "staging")] = None
    with pytest.raises(IntegrityError, match="no evidence"):
        released(tree, "digits", "staging")


def test_a_time_is_utc_to_the_second() -> None:
    assert timestamp().endswith("Z")
    assert len(timestamp()) == 20
