"""Runs on disk: where they lie, and what people and programs can read of them while an engine is at work or not."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.common.errors import IntegrityError, NotFound
from workflows.local.journal import read_journal
from workflows.local.models import nearest
from workflows.local.nodes import COMPLETED, ERROR, EXITED, PENDING, SUCCEEDED, Node, said, was_stopped
from workflows.local.pids import start_time
from workflows.local.state import State
from workflows.local.workflow import Workflow
from workflows.steps.outcome import REFUSED_EXIT_CODE

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,80}")
_FOLLOW_SECONDS = 0.1


@dataclass(frozen=True)
class RunFolder:
    """The places of one run."""

    path: Path

    @property
    def workflow(self) -> Path:
        """What was submitted."""
        return self.path / "workflow.json"

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the engine at work, with its process id."""
        return self.path / "engine.lock"

    @property
    def log(self) -> Path:
        """What the engine itself has to say."""
        return self.path / "engine.log"

    @property
    def requests(self) -> Path:
        """What people ask of the engine."""
        return self.path / "requests"

    def step(self, node: Node) -> Path:
        """The folder of a node's present process."""
        return self.path / "nodes" / node.id / str(node.attempt)


@dataclass(frozen=True)
class Run:
    """A run as it stands. `engine` is the process id of the engine at work on it, if any; times are epoch seconds."""

    name: str
    phase: str
    message: str
    created: float
    started: float
    finished: float | None
    template: str
    parameters: dict[str, str]
    outputs: dict[str, str]
    nodes: list[Node]
    engine: int | None

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.phase in COMPLETED

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it."""
        return self.phase in COMPLETED and self.phase != SUCCEEDED and was_stopped(self.message)

    @property
    def waiting(self) -> list[Node]:
        """The suspended nodes that wait for somebody."""
        return [
            node for node in self.nodes if node.type == "Suspend" and not node.fulfilled and not self.done
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run_folder(home: Path, name: str) -> RunFolder:
    """The folder of a run; NotFound with the nearest name."""
    folder = RunFolder(home / "runs" / name)
    if not _NAME.fullmatch(name) or not folder.workflow.is_file():
        raise NotFound("there is no such run", value=name, allowed=nearest(name, run_names(home)))
    return folder


def run_names(home: Path) -> list[str]:
    """The names of all runs, in no order."""
    root = home / "runs"
    if not root.is_dir():
        return []
    found = [entry for entry in root.iterdir() if _NAME.fullmatch(entry.name)]
    return [entry.name for entry in found if (entry / "workflow.json").is_file()]


def list_runs(home: Path) -> list[Run]:
    """All runs, the newest first; one whose journal was altered has the phase Error and says so."""
    found = [run for run in (listed_run(home, name) for name in run_names(home)) if run is not None]
    return sorted(found, key=lambda run: run.created, reverse=True)


def listed_run(home: Path, name: str) -> Run | None:
    """A run as `list_runs` has it; nothing when it was removed a moment ago."""
    try:
        return get_run(home, name)
    except (NotFound, FileNotFoundError):
        return None
    except IntegrityError as error:
        folder = run_folder(home, name)
        flow = Workflow.load(folder.workflow)
        return Run(
            name=name, phase=ERROR, message=str(error), created=flow.created, started=flow.created, finished=None,
            template="", parameters=flow.parameters, outputs={}, nodes=[], engine=engine_of(folder),
        )  # fmt: skip


def get_run(home: Path, name: str) -> Run:
    """A run as its journal has it."""
    folder = run_folder(home, name)
    workflow = Workflow.load(folder.workflow)
    state = State(name, read_journal(folder.journal))
    root, outcome = state.nodes.get(name), state.outcome
    metadata = workflow.manifest.get("metadata") or {}
    reference = (workflow.manifest.get("spec") or {}).get("workflowTemplateRef") or {}
    return Run(
        name=name, phase=outcome.phase or PENDING, message=outcome.message, created=workflow.created,
        started=outcome.started, finished=outcome.finished,
        template=str(reference.get("name") or metadata.get("name") or metadata.get("generateName") or "").rstrip("-"),
        parameters=workflow.parameters, outputs={**outcome.outputs, **(root.parameters if root else {})},
        nodes=sorted(state.nodes.values(), key=lambda node: node.started), engine=engine_of(folder),
    )  # fmt: skip


def engine_of(folder: RunFolder) -> int | None:
    """The process id of the engine that holds the run's lock.

    A dead one has none: for a moment its lock is held by a child that it was about to start.
    """
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() and start_time(int(text)) is not None else None
    finally:
        os.close(descriptor)
    return None


@dataclass(frozen=True)
class LogLine:
    """A line of a step's log, without its end."""

    node: str
    text: str


def logs(home: Path, name: str, node: str | None = None, follow: bool = False) -> Iterator[LogLine]:
    """The lines that steps have written, step by step; `follow` goes on until the run has ended.

    Args:
        node: only the step of this name, display name or identity.
    """
    folder = run_folder(home, name)
    if node is not None and not follow and not any(_named(n, node) for n in get_run(home, name).nodes):
        known = [n.display_name for n in get_run(home, name).nodes]
        raise NotFound(f"run {name} has no such node", value=node, allowed=nearest(node, known))
    offsets: dict[Path, int] = {}
    while True:
        run = get_run(home, name)
        for one in run.nodes:
            if one.type == "Pod" and (node is None or _named(one, node)):
                yield from _new_lines(folder, one, offsets, whole=run.done or one.fulfilled)
        if run.done or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def failed_step(run: Run) -> Node | None:
    """The first step that failed for good; a try that was followed by another one did not."""
    retries = [node for node in run.nodes if node.type == "Retry"]
    outlived = {child for node in retries for child in node.children[: -1 if node.failed else None]}
    failed = [n for n in run.nodes if n.type == "Pod" and n.failed and n.id not in outlived]
    return min(failed, key=lambda node: node.finished or 0.0, default=None)


def was_refused(run: Run) -> bool:
    """Whether a step of it said no, which is a result and no failure."""
    step = failed_step(run)
    return step is not None and step.exit_code == str(REFUSED_EXIT_CODE)


def reason(home: Path, run: Run) -> str:
    """What to say of a run in a line: why it did not succeed, else its message."""
    return root_cause(home, run) if run.done and run.phase != SUCCEEDED else run.message


def root_cause(home: Path, run: Run) -> str:
    """Why a run did not succeed: its first failed step with the last line that the step wrote, else its message.

    A step that the engine ended, or whose output is missing, has the engine's words instead of its own.
    """
    step = failed_step(run) or next((n for n in run.nodes if n.type == "Skipped" and n.failed), None)
    if step is None:
        return run.message
    last = said(step.message)
    if not last and step.message.startswith(EXITED):
        for line in logs(home, run.name, step.name):
            last = line.text.strip() or last
    return f"{step.display_name}: {last or step.message}"


def _named(node: Node, text: str) -> bool:
    return text in (node.name, node.display_name, node.id) or (
        node.retried and node.name.startswith(f"{text}(")
    )


def _new_lines(folder: RunFolder, node: Node, offsets: dict[Path, int], *, whole: bool) -> Iterator[LogLine]:
    for attempt in range(node.attempt + 1):
        path = folder.path / "nodes" / node.id / str(attempt) / "main.log"
        if not path.is_file():
            continue
        with path.open("rb") as file:
            file.seek(offsets.get(path, 0))
            for line in file:
                if not line.endswith(b"\n") and not whole:
                    break
                offsets[path] = offsets.get(path, 0) + len(line)
                yield LogLine(node.display_name, line.decode(errors="replace").rstrip("\r\n"))
