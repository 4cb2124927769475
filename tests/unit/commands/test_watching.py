"""Following a workflow where no terminal is: one line for each change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.common.errors import Unavailable
from workflows.commands import watching
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


@pytest.mark.parametrize(
    ("engines", "seconds"), [([None], 61), ([*[None] * 40, 7, None], 47), ([None] * 40, None)]
)
def test_an_engine_may_begin_late_and_is_gone_soon_after_its_end(
    monkeypatch: pytest.MonkeyPatch, engines: list[int | None], seconds: float | None
) -> None:
    """With no `seconds` it begins and ends the run; else nobody is there any more, and this is when it is said."""
    now = [1.0]

    class Alone(Place):
        poll_seconds = 1.0

        def get(self, name: str) -> Run:
            left = seconds is not None or len(engines) > 1
            engine = engines.pop(0) if len(engines) > 1 else engines[0]
            return Run(name, "Running" if left else "Succeeded", "", 1.0, 1.0, None, "x", {}, {}, [], engine)

    def sleep(given: float) -> None:
        now[0] += given

    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    if seconds is None:
        assert follow(Alone(), "x").done  # type: ignore[arg-type]
        return
    with pytest.raises(Unavailable, match="the engine of x is gone"):
        follow(Alone(), "x")  # type: ignore[arg-type]
    assert now[0] - 1 == seconds
