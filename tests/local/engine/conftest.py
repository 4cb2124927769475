"""Small workflows for tests of the local engine, each in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workflows.local.control import _create
from workflows.local.engine import get_run, submit
from workflows.local.manifest import parse_manifest
from workflows.local.process import PACKAGE_ROOT
from workflows.local.runs import Run, RunFolder
from workflows.local.templates import Library, TemplateStore
from workflows.local.validation import validate
from workflows.local.workflow import make_workflow

IMAGE = "rookery/workflow:0.1.0"


def shell(script: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """A template that runs a line of shell."""
    inputs = more.pop("inputs", [])
    return {
        "name": more.pop("name", "work"),
        "container": {
            "image": IMAGE,
            "command": ["sh", "-c", script],
            "args": list(arguments),
            **more.pop("container", {}),
        },
        "inputs": {"parameters": [{"name": name} for name in inputs]},
        **more,
    }


class Flow:
    """Runs workflows under one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = TemplateStore(None)
        self._engines: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def manifest(*templates: dict[str, Any], steps: list[Any] | None = None, **spec: Any) -> dict[str, Any]:
        """A workflow whose entrypoint `main` has these steps."""
        main = [] if steps is None else [{"name": "main", "steps": steps}]
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "t-"},
            "spec": {"entrypoint": "main", **spec, "templates": [*main, *templates]},
        }

    def run(
        self, manifest: dict[str, Any] | Path, parameters: dict[str, str] | None = None, **options: Any
    ) -> Run:
        """To its end, in this process."""
        name = submit(manifest, parameters or {}, home=self.home, templates=self.store, wait=True, **options)
        return get_run(self.home, name)

    def detach(self, manifest: dict[str, Any]) -> str:
        """With an engine of its own."""
        return submit(manifest, {}, home=self.home, templates=self.store)

    def prepare(self, manifest: dict[str, Any]) -> str:
        """A run that no engine works on yet."""
        parsed = parse_manifest(manifest)
        library = Library(parsed, self.store)
        validate(library)
        workflow = make_workflow(parsed, library, {}, config=self.home / "config")
        _create(self.home, workflow)
        return workflow.name

    def engine(self, name: str) -> subprocess.Popen[bytes]:
        """An engine as a child of the test, to be killed."""
        command = [sys.executable, "-m", "workflows.local.engine", "run", "--home", str(self.home), name]
        with (self.folder(name).path / "engine.log").open("ab") as log:
            engine = subprocess.Popen(
                command, env={**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}, stdout=log, stderr=log
            )
        self._engines.append(engine)
        return engine

    def folder(self, name: str) -> RunFolder:
        return RunFolder(self.home / "runs" / name)

    def wait(self, name: str, until: Callable[[Run], bool], seconds: float = 120) -> Run:
        """The run once a condition holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run = get_run(self.home, name)
            if until(run):
                return run
            time.sleep(0.02)
        log = self.folder(name).log
        raise AssertionError(f"{run} {log.read_text() if log.exists() else ''}")

    def done(self, name: str) -> Run:
        """The run once it has ended."""
        return self.wait(name, lambda run: run.done)

    def close(self) -> None:
        for engine in self._engines:
            engine.kill()
            engine.wait()


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    """Runs workflows in a fresh home."""
    made = Flow(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def shell_template() -> Callable[..., dict[str, Any]]:
    """Makes templates that run a line of shell."""
    return shell
