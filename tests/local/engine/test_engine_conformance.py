"""The conformance suite on the local engine; the same files can be run by a real Argo controller."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.argo import CASES, LIBRARY, SUITE, expected, shown
from workflows.local.templates import TemplateStore


@pytest.mark.parametrize("case", CASES)
def test_phases_and_outputs_are_those_of_argo(flow: Any, case: str) -> None:
    flow.store = TemplateStore(LIBRARY)
    run = flow.run(SUITE / f"{case}.yaml")
    assert shown(run) == expected(case)


def test_the_suite_is_whole() -> None:
    assert len(CASES) >= 30
    assert {path.name.removesuffix(".expected.json") for path in SUITE.glob("*.expected.json")} == set(CASES)
