"""Stops the engines and steps of a home, in a way that each run can be resumed."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

from workflows.local.nodes import FULFILLED
from workflows.local.pids import start_time
from workflows.local.process import kill_leftovers
from workflows.local.processes import Process, stop
from workflows.local.runs import get_run, list_runs, run_folder
from workflows.local.settings import PlatformSettings


def stop_all(settings: PlatformSettings) -> list[str]:
    """Stops what works on runs; returns the names of the runs that `rookery resume` can go on with.

    The engine goes first, so that it sees no step fail; then the steps, which it will find lost and run again.
    """
    stopped = []
    for run in list_runs(settings.home):
        if run.engine is None:
            continue
        started = start_time(run.engine)
        if started is not None:
            stop([Process(run.engine, started)], settings.stop_seconds)
        folder = run_folder(settings.home, run.name)
        for node in run.nodes:
            if node.type == "Pod" and node.phase not in FULFILLED:
                _stop_step(folder.step(node))
        # An engine that was at its very end leaves nothing to go on with.
        if not get_run(settings.home, run.name).done:
            stopped.append(run.name)
    return stopped


def _stop_step(folder: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        pid, _, started = (folder / "claim").read_text().partition(" ")
        Process(int(pid), started).signal(signal.SIGKILL)
    kill_leftovers(folder)
