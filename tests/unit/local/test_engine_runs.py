"""Engines and steps are stopped so that each run goes on later where it was."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from workflows.local import control, engine_runs
from workflows.local.pids import start_time
from workflows.local.runs import get_run, list_runs, run_folder
from workflows.local.settings import PlatformSettings
from workflows.local.templates import StoredTemplates


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path / "home", stop_seconds=60)


def submit(settings: PlatformSettings, script: str, name: str) -> None:
    container = {"image": "rookery/x", "command": ["sh", "-c"], "args": [script]}
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": "a", "templates": [{"name": "a", "container": container}]},
    }
    control.submit(manifest, home=settings.home, templates=StoredTemplates({}))


def until(settings: PlatformSettings, name: str, what: str) -> None:
    end = time.monotonic() + 60
    while not any(
        what in path.read_text() for path in run_folder(settings.home, name).path.rglob("main.log")
    ):
        assert time.monotonic() < end, f"{name} never said {what}"
        time.sleep(0.05)


def test_nothing_to_stop_is_nothing(settings: PlatformSettings) -> None:
    assert engine_runs.stop_all(settings) == []


def test_a_run_that_is_stopped_has_no_process_left_and_can_be_resumed(
    settings: PlatformSettings, tmp_path: Path
) -> None:
    marker, pid_file = tmp_path / "second", tmp_path / "pid"
    script = (
        f"echo $$ > {pid_file}; echo begun; if [ -e {marker} ]; then exit 0; fi; touch {marker}; sleep 300"
    )
    submit(settings, script, "long")
    submit(settings, "echo done", "short")
    until(settings, "long", "begun")
    end = time.monotonic() + 60
    while not get_run(settings.home, "short").done:
        assert time.monotonic() < end
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    assert engine_runs.stop_all(settings) == ["long"]
    end = time.monotonic() + 60
    while start_time(pid) is not None:
        assert time.monotonic() < end, "a step outlives its run"
        time.sleep(0.02)
    run = get_run(settings.home, "long")
    assert (run.engine, run.done) == (None, False)
    assert engine_runs.stop_all(settings) == []
    control.resume(settings.home, "long", wait=True)
    assert {run.name: run.phase for run in list_runs(settings.home)} == {
        "long": "Succeeded",
        "short": "Succeeded",
    }
