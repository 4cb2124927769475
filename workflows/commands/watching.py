"""Following a workflow: live on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from services.common.errors import Unavailable
from workflows.commands.console import coloured, console, duration
from workflows.local.nodes import said

if TYPE_CHECKING:
    from workflows.commands.workplace import Workplace
    from workflows.local.nodes import Node
    from workflows.local.runs import Run

_SPEAK_SECONDS = 1.0
_ENGINE_SECONDS = 5.0
# An engine that was just started: a busy machine takes long to load its code.
_BEGIN_SECONDS = 60.0
_MARKS = {"Succeeded": "✔", "Failed": "✘", "Error": "✘", "Skipped": "–", "Omitted": "–", "Pending": "·"}


def phase_of(run: Run) -> str:
    """The phase for people: also whether somebody must approve, or resume it."""
    if run.done:
        return run.phase
    if run.engine is None:
        return "Stopped (rookery resume)"
    return "Suspended (rookery approve)" if run.waiting else run.phase


def first_line(text: str, limit: int = 110) -> str:
    """The beginning of a message."""
    return text.splitlines()[0][:limit] if text else ""


def seconds_of(run: Run) -> float:
    """How long it took, or takes already."""
    return max(0.0, (run.finished or time.time()) - run.started) if run.started else 0.0


def run_as_dict(run: Run, place: Workplace) -> dict[str, Any]:
    """For `--json`; `message` is the engine's, `reason` says in a line why it did not succeed."""
    return {
        "name": run.name,
        "phase": run.phase,
        "engine": run.engine or None,
        "started": run.started,
        "finished": run.finished,
        "message": run.message,
        "reason": place.reason(run),
        "parameters": run.parameters,
        "outputs": run.outputs,
        "steps": [
            {
                "name": node.display_name,
                "type": node.type,
                "phase": node.phase,
                "message": node.message,
                "started": node.started,
                "finished": node.finished,
                "outputs": node.parameters,
            }
            for node in run.nodes
        ],
    }


def follow(place: Workplace, name: str, *, show: bool = True, title: str = "") -> Run:
    """Waits for a workflow's end and shows its steps meanwhile."""
    screen = console()
    if not show:
        return _until_end(place, name, lambda run: None)
    if not screen.is_terminal:
        return _until_end(place, name, _Changes(place))
    with Live(console=screen, refresh_per_second=8) as live:
        return _until_end(place, name, lambda run: live.update(picture(run, place, title)))


def _until_end(place: Workplace, name: str, show: Callable[[Run], None]) -> Run:
    alone_since, bound = None, _BEGIN_SECONDS
    while True:
        run = place.get(name)
        show(run)
        if run.done:
            return run
        if run.engine is not None:
            alone_since, bound = None, _ENGINE_SECONDS
        elif alone_since is None:
            alone_since = time.monotonic()
        elif time.monotonic() - alone_since > bound:
            raise Unavailable(f"the engine of {name} is gone", allowed=f"`rookery resume {name}`")
        time.sleep(place.poll_seconds)


def picture(run: Run, place: Workplace, title: str = "") -> RenderableType:
    """The steps as a table, with the last line that the running one printed."""
    grid = Table.grid(padding=(0, 1))
    for node in steps(run):
        mark: RenderableType = (
            Spinner("dots") if node.phase == "Running" else Text(_MARKS.get(node.phase, " "))
        )
        took = duration((node.finished or time.time()) - node.started) if node.started else ""
        grid.add_row(
            Text("  "),
            mark,
            coloured_name(node),
            Text(took, style="dim"),
            Text(_said(node, run, place), style="dim"),
        )
    head = Text.assemble((title or run.name, "bold"), " ", coloured(phase_of(run)))
    return Group(head, grid)


def coloured_name(node: Node) -> Text:
    """A step's name in the colour of its phase."""
    return Text(label(node), style=coloured(node.phase).style)


def label(node: Node) -> str:
    """A step's name; a try after the first says which one it is."""
    name, bracket, number = node.display_name.partition("(")
    if not bracket or not number.rstrip(")").isdigit():
        return node.display_name
    tries = int(number.rstrip(")")) + 1
    return name if tries == 1 else f"{name} (try {tries})"


def steps(run: Run) -> list[Node]:
    """The nodes that people think of as steps: what runs a process or waits, in the order of their start."""
    shown = [
        node
        for node in run.nodes
        if node.type in ("Pod", "Suspend") and node.phase not in ("Skipped", "Omitted")
    ]
    return sorted(shown, key=lambda node: node.started)


def _message(node: Node) -> str:
    return first_line(said(node.message) or node.message)


def _said(node: Node, run: Run, place: Workplace) -> str:
    if node in run.waiting:
        return first_line(node.message) or f"waits for `rookery approve {run.name}`"
    if node.phase != "Running" or node.type != "Pod":
        return _message(node)
    return first_line(place.last_line(run, node))


class _Changes:
    """Prints a line whenever a step's phase changes, and what a running step printed last, at most once a second."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._seen: dict[str, str] = {}
        self._said: dict[str, tuple[str, float]] = {}

    def __call__(self, run: Run) -> None:
        for node in steps(run):
            if self._seen.get(node.id) != node.phase:
                self._seen[node.id] = node.phase
                took = f" after {duration(node.finished - node.started)}" if node.finished else ""
                news = _said(node, run, self._place) if node in run.waiting else _message(node)
                line = f"  {label(node)}: {node.phase}{took} {news}"
                console().print(Text(line.rstrip()))
            if node.phase == "Running" and node.type == "Pod":
                self._speak(node, _said(node, run, self._place))

    def _speak(self, node: Node, text: str) -> None:
        before, moment = self._said.get(node.id, ("", -math.inf))
        now = time.monotonic()
        if text and text != before and now - moment >= _SPEAK_SECONDS:
            self._said[node.id] = (text, now)
            console().print(Text(f"  {label(node)}: {text}"))
