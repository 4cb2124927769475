"""The chain from data to memory, and where it breaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.board.lineage import Addresses, Link, chain
from tests.support.board import World
from workflows.local.status import EnvironmentStatus, environment_statuses
from workflows.release.history import why


def links(world: World, run: dict[str, Any] | None = None, **changes: Any) -> dict[str, Link]:
    found = why(world.remote.path, "digits", "staging")
    status: EnvironmentStatus = environment_statuses(world.platform)[0]
    at = Addresses("http://mlflow", "http://evaluate")
    return {link.name: link for link in chain(found, replace(status, **changes), run, at)}


def test_every_place_has_its_link(world: World) -> None:
    found = links(world)
    assert list(found) == ["Data", "Training", "Bundle", "Gate", "Version", "Image", "Commit", "Memory"]
    assert found["Version"].identity == "v1"
    assert found["Gate"].href == f"http://evaluate/reports/{1:032x}"
    assert found["Data"].state == found["Training"].state == "unknown"
    assert found["Memory"].state == "breaks"


def test_memory_that_agrees_holds_and_other_memory_breaks(world: World) -> None:
    image = f"sha256:{1:064x}"
    assert links(world, memory=image, drift="")["Memory"].state == "holds"
    other = links(world, memory=f"sha256:{2:064x}", drift="memory has image 0002")["Memory"]
    assert other.state == "breaks" and "memory has image" in other.facts[0]


def test_mlflow_is_a_witness(world: World) -> None:
    digest = f"sha256:{1:064x}"
    run = {
        "info": {"experiment_id": "7"},
        "data": {
            "params": [{"key": "data_source", "value": "digits"}],
            "tags": [
                {"key": "rookery.bundle_digest", "value": digest},
                {"key": "rookery.dataset_digest", "value": digest},
                {"key": "rookery.model_version", "value": "1"},
            ],
        },
    }
    found = links(world, run)
    assert found["Bundle"].state == found["Version"].state == "holds"
    assert found["Data"].state == "breaks"
    assert found["Data"].facts == ["digits"]
    assert found["Training"].href == f"http://mlflow/#/experiments/7/runs/{1:032x}"


def test_an_empty_environment_has_no_chain(world: World) -> None:
    assert chain(why(world.remote.path, "digits", "canary"), None, None, Addresses()) == []
