"""What people and programs do to runs: submit, resume, cancel, approve. Engines are processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.common.errors import Conflict
from services.common.files import write_json
from workflows.local.manifest import load_manifest
from workflows.local.process import PACKAGE_ROOT
from workflows.local.runs import Run, RunFolder, engine_of, get_run, run_folder
from workflows.local.templates import Library, TemplateStore
from workflows.local.validation import validate
from workflows.local.workflow import Workflow, make_workflow

# The shell only lets go of the engine, so that it is nobody's child; it is given words, never text to read.
_DETACH = '"$@" </dev/null >>"$0" 2>&1 &'


def submit(
    manifest: dict[str, Any] | Path | str,
    parameters: Mapping[str, str] | None = None,
    *,
    home: Path,
    templates: TemplateStore,
    wait: bool = False,
    host_images: Sequence[str] = (),
    max_processes: int = 8,
    name: str = "",
) -> str:
    """Checks a workflow completely, makes its run and starts an engine; returns the run's name.

    Args:
        manifest: a parsed manifest, a file, or the name of a WorkflowTemplate in `templates`.
        wait: work on it in this process until it has ended, instead of in one of its own.
        host_images: patterns of further images whose commands may run on this machine.
        name: that the run shall have; else one that no other has.

    Raises:
        InvalidInput, NotFound: something cannot run here or a parameter is unknown, missing or not allowed.
        Conflict: there is a run of that name.
    """
    loaded = templates.get(manifest) if isinstance(manifest, str) else load_manifest(manifest)
    library = Library(loaded, templates)
    validate(library, host_images=host_images)
    workflow = make_workflow(
        loaded,
        library,
        parameters or {},
        config=home / "config",
        host_images=host_images,
        max_processes=max_processes,
        called=name,
    )
    _create(home, workflow)
    _work(home, workflow.name, wait)
    return workflow.name


def _create(home: Path, workflow: Workflow) -> None:
    runs = home / "runs"
    folder = runs / f".{workflow.uid}"
    folder.mkdir(parents=True, mode=0o700)
    try:
        workflow.save(folder / "workflow.json")
        (folder / "requests").mkdir()
        folder.rename(runs / workflow.name)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if (runs / workflow.name).exists():
            raise Conflict(
                "there is a run of that name", value=workflow.name, allowed="generateName"
            ) from error
        raise


def _work(home: Path, name: str, wait: bool) -> None:
    if wait:
        from workflows.local.engine import Engine

        engine = Engine(home, name)
        try:
            engine.run()
        finally:
            engine.close()
        return
    folder = RunFolder(home.resolve() / "runs" / name)
    command = [sys.executable, "-m", "workflows.local.engine", "run", "--home", str(home.resolve()), name]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    subprocess.run(
        ["/bin/sh", "-c", _DETACH, str(folder.log), *command], check=True, cwd=folder.path, env=environment,
        start_new_session=True,
    )  # fmt: skip


def resume(home: Path, name: str, *, wait: bool = False) -> None:
    """Goes on with a run whose engine is gone. Conflict when it has ended or an engine is at work."""
    run = get_run(home, name)
    if run.done:
        raise Conflict(f"run {name} has ended", value=run.phase)
    if run.engine is not None:
        raise Conflict(f"an engine works on run {name}", value=f"process {run.engine}")
    _work(home, name, wait)


def cancel(home: Path, name: str) -> None:
    """Stops a run: running steps are ended, the exit handler still runs. Conflict when it has ended."""
    run = get_run(home, name)
    if run.done:
        raise Conflict(f"run {name} has ended", value=run.phase)
    _ask(home, name, {"request": "cancel"})


def approve(home: Path, name: str, node: str | None = None, *, by: str | None = None) -> None:
    """Lets suspended nodes go on: all, or the one named. Conflict when none waits."""
    run = get_run(home, name)
    waiting = [n for n in run.waiting if node in (None, n.name, n.display_name, n.id)]
    if not waiting:
        raise Conflict(f"run {name} waits for no approval", value=node or run.phase, allowed=_waiting(run))
    _ask(home, name, {"request": "approve", "node": node, "by": by})


def _waiting(run: Run) -> str | None:
    return ", ".join(node.display_name for node in run.waiting) or None


def _ask(home: Path, name: str, request: dict[str, str | None]) -> None:
    folder = run_folder(home, name)
    folder.requests.mkdir(exist_ok=True)
    write_json(folder.requests / f"{time.time_ns():020d}-{os.getpid()}.json", request)
    if engine_of(folder) is None:
        _work(home, name, False)
