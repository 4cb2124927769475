"""Following a workflow where no terminal is: one line for each change."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.commands.watching import follow
from workflows.local.nodes import Node
from workflows.local.runs import Run


class Place:
    """Shows one picture of a workflow after the other."""

    poll_seconds = 0.0

    def __init__(self, *nodes: Node) -> None:
        self._left = list(nodes)

    def get(self, name: str) -> Run:
        node = self._left.pop(0)
        phase = "Succeeded" if not self._left else "Running"
        return Run(name, phase, "", 1.0, 1.0, None, "promote-model", {}, {}, [node], 1)


def approval(phase: str, **more: Any) -> Node:
    return Node("a", "a", "approve", "Suspend", phase, started=1.0, **more)


def test_a_workflow_that_waits_for_somebody_says_for_what(capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(approval("Running"), approval("Running"), approval("Succeeded", finished=3.0))
    follow(place, "promote-model-abcde")  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == [
        "  approve: Running waits for `rookery approve promote-model-abcde`",
        "  approve: Succeeded after 2.0 s",
    ]


def test_what_the_engine_says_of_a_wait_is_said_first(capsys: pytest.CaptureFixture[str]) -> None:
    follow(Place(approval("Running", message="by Ada"), approval("Succeeded")), "x")  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines()[0] == "  approve: Running by Ada"
