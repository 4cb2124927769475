"""The conformance suite on the local engine; the same files can be run by a real Argo controller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).parents[2] / "conformance"
CASES = sorted(path.stem for path in SUITE.glob("*.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_phases_and_outputs_are_those_of_argo(flow: Any, case: str) -> None:
    expected = json.loads((SUITE / f"{case}.expected.json").read_text())
    run = flow.run(SUITE / f"{case}.yaml")
    nodes = {}
    for node in run.nodes:
        shown: dict[str, Any] = {"phase": node.phase, "type": node.type}
        if node.parameters:
            shown["outputs"] = node.parameters
        if node.result is not None:
            shown["result"] = node.result
        nodes[node.name.replace(run.name, "$", 1)] = shown
    assert run.phase == expected["phase"]
    assert nodes == expected["nodes"]


def test_the_suite_is_whole() -> None:
    assert len(CASES) >= 24
    assert {path.name.removesuffix(".expected.json") for path in SUITE.glob("*.expected.json")} == set(CASES)
