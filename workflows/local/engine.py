"""The local engine: runs one workflow to its end, and can be killed at any moment.

`python -m workflows.local.engine run --home HOME NAME` works on a submitted run; `submit` and `resume` start it.
Order on disk: a node is in the journal before its process is asked for, and a process's end is in its own folder
before it is in the journal. So after `kill -9` every step is known to be finished, running (and is adopted), never
started, or lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

from services.common.errors import Conflict, RookeryError
from services.common.locks import take
from workflows.local.control import approve, cancel, resume, submit
from workflows.local.journal import Journal, read_journal
from workflows.local.launching import RUNNERS, prepare, read_message, read_outputs, read_result, step_deadline
from workflows.local.models import Template
from workflows.local.mutexes import Mutexes
from workflows.local.nodes import ERROR, EXITED, FAILED, PENDING, RUNNING, SUCCEEDED, Node
from workflows.local.process import Exit, Launcher, Standing, kill_leftovers, read_exit, standing
from workflows.local.runs import RunFolder, get_run, list_runs, logs, run_folder
from workflows.local.scheduler import Scheduler
from workflows.local.state import State
from workflows.local.templates import steps_of
from workflows.local.workflow import Workflow

_LOCK_SECONDS = 2.0
_REQUEST_SECONDS = 0.1
_MAX_RESTARTS = 20
_HERA_MODULES = ("hera.workflows._runner.util",)
_ENTRY = re.compile(r"(workflows\.steps(?:\.\w+)*):\w+")
Wanted = tuple[Node, Template, dict[str, str]]


class Engine:
    """One run's engine; holds the run's lock from its making to `close`."""

    def __init__(self, home: Path, name: str) -> None:
        self.folder: RunFolder = run_folder(home, name)
        self.home = home
        self._lock = _take_lock(self.folder, name)
        self.workflow = Workflow.load(self.folder.workflow)
        self.state = State(name, read_journal(self.folder.journal))
        self.journal = Journal(self.folder.journal)
        self.mutexes = Mutexes(home / "mutexes")
        library = self.workflow.library()
        self.scheduler = Scheduler(self.workflow, library, self.state, self.mutexes)
        self.launcher = Launcher(self.folder.path, _modules(self.workflow))
        self.followed: dict[Path, Wanted] = {}
        self._stopped: set[Path] = set()

    def run(self) -> str:
        """Works until the run has ended; returns its phase."""
        self.journal.append([{"kind": "engine", "at": time.time(), "pid": os.getpid()}])
        pass_due = True
        while self.state.outcome.finished is None:
            if self._requests() or pass_due:
                self._pass()
            if self.state.outcome.finished is not None:
                break
            if self.scheduler.over():
                self._stop_steps()
            wake = self.scheduler.wake_at
            ended = self.launcher.poll(max(0.0, min(_REQUEST_SECONDS, (wake or 1e18) - time.time())))
            for folder in ended:
                self._ended(folder)
            pass_due = bool(ended) or (wake is not None and time.time() >= wake)
        return self.state.outcome.phase

    def close(self) -> None:
        """Lets go of everything; steps that still run go on."""
        self.launcher.close()
        self.mutexes.release_all()
        self.journal.close()
        os.close(self._lock)

    def _pass(self) -> None:
        for _ in range(_MAX_RESTARTS):
            self.scheduler.operate()
            again = False
            start: list[Path] = []
            for wanted in list(self.scheduler.wanted.values()):
                again = self._care(wanted, start) or again
            self.state.commit(self.journal)
            for folder in start:
                self.launcher.start(folder)
            if not again:
                return

    def _stop_steps(self) -> None:
        """Ends what runs, but for the exit handler; asked again for steps whose supervisor was not yet there."""
        for folder, (node, _, _) in self.followed.items():
            if folder not in self._stopped and not self._in_exit(node) and self.launcher.stop(folder):
                self._stopped.add(folder)

    def _care(self, wanted: Wanted, start: list[Path]) -> bool:
        """Does what a step needs next; True when its node has ended by that."""
        node = wanted[0]
        folder = self.folder.step(node)
        if folder in self.launcher:
            return False
        if node.phase == PENDING:
            if len(self.launcher) + len(start) >= self.workflow.max_processes:
                return False
            self.state.mark(node, RUNNING)
            return self._begin(wanted, start)
        found = standing(folder)
        if found is Standing.FINISHED:
            self._finish(wanted, folder)
            return True
        if found is Standing.RUNNING:
            self.followed[folder] = wanted
            self.launcher.adopt(folder)
            return False
        return self._again(wanted, folder, start)

    def _again(self, wanted: Wanted, folder: Path, start: list[Path]) -> bool:
        """Starts a step anew whose process never was, or was lost with its supervisor."""
        node = wanted[0]
        kill_leftovers(folder)
        if self.scheduler.over() and not self._in_exit(node):
            self.state.mark(node, FAILED, self.scheduler.why_over())
            return True
        node.attempt += 1
        self.state.touch(node)
        return self._begin(wanted, start)

    def _begin(self, wanted: Wanted, start: list[Path]) -> bool:
        node, template, scope = wanted
        folder = self.folder.step(node)
        try:
            prepare(
                template, scope, folder, config=self.home / "config", host_images=self.workflow.host_images,
                deadline=step_deadline(template, scope, node.started, time.time()),
            )  # fmt: skip
        except RookeryError as error:
            self.state.mark(node, ERROR, str(error))
            return True
        self.followed[folder] = wanted
        start.append(folder)
        return False

    def _ended(self, folder: Path) -> None:
        wanted = self.followed.pop(folder)
        if read_exit(folder) is not None:
            self._finish(wanted, folder)

    def _finish(self, wanted: Wanted, folder: Path) -> None:
        node, template, scope = wanted
        end = read_exit(folder)
        assert end is not None
        node.exit_code = str(end.code)
        node.finished = end.finished
        if self._result_wanted(node):
            node.result = read_result(folder)
        try:
            outputs = read_outputs(template, scope, folder)
        except RookeryError as error:
            outputs, missing = {}, str(error)
        else:
            missing = ""
        phase, message = self._verdict(end, missing, read_message(folder))
        self.scheduler.finish_pod(node, template, outputs)
        self.state.mark(node, phase, message)
        for name in ("work", "tmp"):
            shutil.rmtree(folder / name, ignore_errors=True)

    def _verdict(self, end: Exit, missing: str, why: str) -> tuple[str, str]:
        if end.reason == "deadline":
            return FAILED, "Pod was active on the node longer than the specified deadline"
        if end.reason == "stopped":
            return FAILED, self.scheduler.why_over() if self.scheduler.over() else "the step was stopped"
        if end.code != 0:
            return FAILED, f"{EXITED} (exit code {end.code})" + (f": {why}" if why else "")
        return (ERROR, missing) if missing else (SUCCEEDED, "")

    def _result_wanted(self, node: Node) -> bool:
        """Whether the template around a step mentions its `outputs.result`, as Argo decides it."""
        above = self.state.by_id.get(node.boundary) if node.boundary else None
        if above is None:
            return False
        template = self.scheduler.template_of(above)
        name = node.display_name.partition("(")[0]
        text = (
            json.dumps([step.model_dump(mode="json") for step in steps_of(template)])
            + template.outputs.model_dump_json()
        )
        return (
            re.search(rf"(steps|tasks)(\.{name}|\[.{{1,2}}{name}.{{1,2}}\])\.outputs\.result", text)
            is not None
        )

    def _in_exit(self, node: Node) -> bool:
        return node.name.startswith(f"{self.workflow.name}.onExit")

    def _requests(self) -> bool:
        """Does what people asked for; True when something changed."""
        if not self.folder.requests.is_dir():
            return False
        files = sorted(path for path in self.folder.requests.iterdir() if path.suffix == ".json")
        for path in files:
            with contextlib.suppress(ValueError):
                request = json.loads(path.read_bytes())
                self.journal.append([{"kind": "request", "at": time.time(), **request}])
                if request["request"] == "cancel":
                    self.state.set_outcome(stopping=True)
                elif request["request"] == "approve":
                    self._approve(request)
            self.state.commit(self.journal)
            path.unlink()
        return bool(files)

    def _approve(self, request: dict[str, str | None]) -> None:
        wanted = request.get("node")
        for node in self.state.nodes.values():
            if (
                node.type == "Suspend"
                and not node.fulfilled
                and wanted in (None, node.name, node.display_name, node.id)
            ):
                self.state.mark(
                    node, SUCCEEDED, f"approved by {request['by']}" if request.get("by") else "approved"
                )


def _take_lock(folder: RunFolder, name: str) -> int:
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not take(descriptor, _LOCK_SECONDS, pause=0.02):
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise Conflict(f"another engine works on run {name}", value=f"process {holder}")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _modules(workflow: Workflow) -> list[str]:
    """What the workflow's runner scripts import; nothing when it has none."""
    text = json.dumps([workflow.manifest, workflow.templates])
    if not any(f'"{runner}"' in text for runner in RUNNERS):
        return []
    hera = _HERA_MODULES if "hera.workflows.runner" in text else ()
    return ["workflows.steps", "httpx", *hera, *sorted(set(_ENTRY.findall(text)))]


def main(arguments: list[str] | None = None) -> int:
    """The engine's own command line."""
    parser = argparse.ArgumentParser(prog="python -m workflows.local.engine", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="work on a submitted run until it has ended")
    run.add_argument("--home", type=Path, required=True)
    run.add_argument("name")
    options = parser.parse_args(arguments)
    try:
        engine = Engine(options.home.resolve(), options.name)
    except RookeryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        return 0 if engine.run() == SUCCEEDED else 1
    except RookeryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        engine.close()


__all__ = [
    "Engine", "approve", "cancel", "get_run", "list_runs", "logs", "main", "resume", "submit",
]  # fmt: skip

if __name__ == "__main__":
    raise SystemExit(main())
