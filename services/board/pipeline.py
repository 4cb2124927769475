"""A workflow as a picture: its stages in their order, those to come included, and where each is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from services.common.errors import RookeryError
from workflows.commands.templates import RENDERED
from workflows.local.nodes import SKIPPED, SUCCEEDED, Node, said
from workflows.local.runs import Run
from workflows.local.templates import TemplateStore

PLANNED, WAITING, RUNNING, DONE, BAD, PASSED_BY = "planned", "waiting", "running", "done", "bad", "skipped"
_STEP, _RADIUS, _TOP = 132, 17, 26


@dataclass(frozen=True)
class Stage:
    """One step, or several at once.

    Attributes:
        state: planned, waiting (for somebody), running, done, bad, skipped.
        tries: how often it was begun.
        cleanup: whether it belongs to the exit handler.
        note: what the engine says of it.
    """

    name: str
    state: str
    started: float = 0.0
    finished: float | None = None
    tries: int = 0
    cleanup: bool = False
    note: str = ""
    node: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took; nothing while it is at work or before."""
        return self.finished - self.started if self.finished and self.started else None


@dataclass(frozen=True)
class Drawn:
    """A stage at a place of the picture, in user units."""

    stage: Stage
    x: int
    y: int


@dataclass(frozen=True)
class Picture:
    """The stages beside each other; `links` are pairs of neighbours, in the state of the right one."""

    drawn: list[Drawn]
    links: list[tuple[int, int, str]]
    width: int
    height: int
    radius: int


def stages(run: Run) -> list[Stage]:
    """The stages of a run: those of its template, and the steps of the exit handler that did something."""
    planned = planned_stages(run.template)
    own = [node for node in run.nodes if node.boundary == run.name and not node.retried and _is_step(node)]
    names = [*planned, *(node.display_name for node in own if node.display_name not in planned)]
    found = [_stage(name, own, run) for name in dict.fromkeys(names)]
    ended = next((node for node in run.nodes if node.name == f"{run.name}.onExit"), None)
    if ended is not None:
        after = [
            node for node in run.nodes
            if node.boundary == ended.id and not node.retried and _is_step(node) and node.phase != SKIPPED
        ]  # fmt: skip
        found += [_stage(node.display_name, [node], run, cleanup=True) for node in after]
    return found


def picture(found: Sequence[Stage]) -> Picture:
    """Where each stage is drawn, from left to right."""
    drawn = [Drawn(stage, _STEP // 2 + _STEP * at, _TOP) for at, stage in enumerate(found)]
    links = [
        (left.x + _RADIUS + 6, right.x - _RADIUS - 6, right.stage.state) for left, right in pairwise(drawn)
    ]
    return Picture(drawn, links, max(1, len(drawn)) * _STEP, 84, _RADIUS)


def running_stage(found: Sequence[Stage]) -> Stage | None:
    """The stage at work, or that waits for somebody."""
    return next((stage for stage in found if stage.state in (RUNNING, WAITING)), None)


@lru_cache(maxsize=64)
def planned_stages(template: str) -> tuple[str, ...]:
    """The names of a template's steps in their order; empty for a workflow that is none of ours."""
    try:
        spec = TemplateStore(RENDERED).get(template).spec
    except RookeryError:
        return ()
    main = next((one for one in spec.templates if one.name == spec.entrypoint), None)
    return tuple(step.name for group in (main.steps if main and main.steps else []) for step in group)


def _is_step(node: Node) -> bool:
    return node.type not in ("StepGroup", "Steps", "DAG", "TaskGroup") or bool(node.template)


def _stage(name: str, nodes: Sequence[Node], run: Run, *, cleanup: bool = False) -> Stage:
    mine = [node for node in nodes if node.display_name == name]
    if not mine:
        return Stage(name, PASSED_BY if run.done else PLANNED, cleanup=cleanup)
    node = mine[-1]
    tries = len(node.children) if node.type == "Retry" else 1
    note = (said(node.message) or node.message).split("\n")[0][:200]
    return Stage(name, _state(node, run), node.started, node.finished, tries, cleanup, note, node.id)


def _state(node: Node, run: Run) -> str:
    if node.failed:
        return BAD
    if node.phase == SUCCEEDED:
        return DONE
    if node.fulfilled:
        return PASSED_BY
    if run.done:
        return BAD
    return WAITING if node.type == "Suspend" else RUNNING
