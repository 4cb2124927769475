"""Following a workflow: live on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from workflows.commands.console import coloured, console, duration

if TYPE_CHECKING:
    from workflows.local.engine import Run
    from workflows.local.nodes import Node

_POLL_SECONDS = 0.2
_ENDED = frozenset({"Succeeded", "Failed", "Error"})
_MARKS = {"Succeeded": "✔", "Failed": "✘", "Error": "✘", "Skipped": "–", "Omitted": "–", "Pending": "·"}


def finished(run: Run) -> bool:
    """Whether nothing more will happen."""
    return run.phase in _ENDED


def seconds_of(run: Run) -> float:
    """How long it took, or takes already."""
    return max(0.0, (run.finished or time.time()) - run.started) if run.started else 0.0


def run_as_dict(run: Run) -> dict[str, Any]:
    """For `--json`."""
    return {
        "name": run.name,
        "phase": run.phase,
        "started": run.started,
        "finished": run.finished,
        "message": run.message,
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
    from workflows.local import engine

    screen = console()
    if not show:
        while not finished(run := engine.get_run(home, name)):
            time.sleep(_POLL_SECONDS)
        return run
    if not screen.is_terminal:
        return _print_changes(home, name)
    with Live(console=screen, refresh_per_second=8, transient=False) as live:
        while True:
            run = engine.get_run(home, name)
            live.update(picture(run, home, title))
            if finished(run):
                return run
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
    head = Text.assemble((title or run.name, "bold"), " ", coloured(run.phase))
    return Group(head, grid)


def coloured_name(node: Node) -> Text:
    """A step's name in the colour of its phase."""
    return Text(node.display_name, style=coloured(node.phase).style)


def steps(run: Run) -> list[Node]:
    """The nodes that people think of as steps: what runs a process or waits, in the order of their start."""
    shown = [
        node
        for node in run.nodes
        if node.type in ("Pod", "Suspend") and node.phase not in ("Skipped", "Omitted")
    ]
    return sorted(shown, key=lambda node: node.started)


def _said(node: Node, run: Run, home: Path) -> str:
    if node.phase != "Running":
        return node.message.splitlines()[0][:100] if node.message else ""
    try:
        with (home / "runs" / run.name / "nodes" / node.id / "main.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 2048))
            lines = log.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:100] if lines else ""


def _print_changes(home: Path, name: str) -> Run:
    from workflows.local import engine

    seen: dict[str, str] = {}
    screen = console()
    while True:
        run = engine.get_run(home, name)
        for node in steps(run):
            if seen.get(node.id) != node.phase:
                seen[node.id] = node.phase
                took = f" after {duration(node.finished - node.started)}" if node.finished else ""
                screen.print(Text(f"  {node.display_name}: {node.phase}{took} {node.message}".rstrip()))
        if finished(run):
            return run
        time.sleep(_POLL_SECONDS)
