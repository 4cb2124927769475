"""Following a workflow: live on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from services.common.errors import Unavailable
from workflows.commands.console import coloured, console, duration

if TYPE_CHECKING:
    from workflows.local.nodes import Node
    from workflows.local.runs import Run

_POLL_SECONDS = 0.2
_SPEAK_SECONDS = 1.0
_ENGINE_SECONDS = 5.0
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


def run_as_dict(run: Run, home: Path) -> dict[str, Any]:
    """For `--json`; `message` is the engine's, `reason` says in a line why it did not succeed."""
    from workflows.local.runs import reason

    return {
        "name": run.name,
        "phase": run.phase,
        "engine": run.engine,
        "started": run.started,
        "finished": run.finished,
        "message": run.message,
        "reason": reason(home, run),
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


def follow(home: Path, name: str, *, show: bool = True, title: str = "") -> Run:
    """Waits for a workflow's end and shows its steps meanwhile."""
    screen = console()
    if not show:
        return _until_end(home, name, lambda run: None)
    if not screen.is_terminal:
        return _until_end(home, name, _Changes(home))
    with Live(console=screen, refresh_per_second=8) as live:
        return _until_end(home, name, lambda run: live.update(picture(run, home, title)))


def _until_end(home: Path, name: str, show: Callable[[Run], None]) -> Run:
    from workflows.local.runs import get_run

    alone_since = None
    while True:
        run = get_run(home, name)
        show(run)
        if run.done:
            return run
        alone_since = (alone_since or time.monotonic()) if run.engine is None else None
        if alone_since and time.monotonic() - alone_since > _ENGINE_SECONDS:
            raise Unavailable(f"the engine of {name} is gone", allowed=f"`rookery resume {name}`")
        time.sleep(_POLL_SECONDS)


def picture(run: Run, home: Path, title: str = "") -> RenderableType:
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
            Text(_said(node, run, home), style="dim"),
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


def _said(node: Node, run: Run, home: Path) -> str:
    from workflows.local.runs import run_folder

    if node.phase != "Running" or node.type != "Pod":
        return first_line(node.message)
    try:
        with (run_folder(home, run.name).step(node) / "main.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 2048))
            lines = log.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return first_line(lines[-1]) if lines else ""


class _Changes:
    """Prints a line whenever a step's phase changes, and what a running step printed last, at most once a second."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[str, str] = {}
        self._said: dict[str, tuple[str, float]] = {}

    def __call__(self, run: Run) -> None:
        for node in steps(run):
            if self._seen.get(node.id) != node.phase:
                self._seen[node.id] = node.phase
                took = f" after {duration(node.finished - node.started)}" if node.finished else ""
                line = f"  {label(node)}: {node.phase}{took} {first_line(node.message)}"
                console().print(Text(line.rstrip()))
            if node.phase == "Running" and node.type == "Pod":
                self._speak(node, _said(node, run, self._home))

    def _speak(self, node: Node, text: str) -> None:
        before, moment = self._said.get(node.id, ("", -math.inf))
        now = time.monotonic()
        if text and text != before and now - moment >= _SPEAK_SECONDS:
            self._said[node.id] = (text, now)
            console().print(Text(f"  {label(node)}: {text}"))
