"""`rookery simulate`: a year on a platform of its own, and the report."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from services.common.errors import Conflict, RookeryError
from workflows.local import engine_runs, platform
from workflows.local.pids import start_time
from workflows.local.ports import PortChoice
from workflows.local.processes import Process, read_pid_file, write_pid_file
from workflows.local.settings import PlatformSettings
from workflows.simulation.account import Result, conclude
from workflows.simulation.report import write_report
from workflows.simulation.world import open_world
from workflows.simulation.year import Tell, Year

FOLDER = "simulate"
_PLAYER = "player.json"
# The log goes by the courier, so the monitor must not take it; segments are closed at once, as months take seconds.
# The arbiter counts its pauses in real time, of which a simulated month has but seconds.
_VARIABLES = {
    "ROOKERY_ARBITER_DEBOUNCE_SECONDS": "2",
    "ROOKERY_ARBITER_COOLDOWN_SECONDS": "0",
    "ROOKERY_ARBITER_DAILY": "1000",
    "ROOKERY_ARBITER_DAILY_TOTAL": "1000",
    "ROOKERY_ARBITER_TICK_SECONDS": "0.2",
    "ROOKERY_MONITOR_SPOOLS": "[]",
    "ROOKERY_MONITOR_KEEP_DAYS": "3650",
    "ROOKERY_SERVE_LOG_SEGMENT_SECONDS": "0.2",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Played:
    """What a simulation left: the result, and where the report is."""

    result: Result
    report: Path
    home: Path


def simulate(
    settings: PlatformSettings, application: str, months: int, seed: int, tell: Tell, *, keep: bool
) -> Played:
    """Play the year in `<home>/simulate`, from nothing.

    Args:
        keep: leave the platform running in the end, and its state where it is.

    Raises:
        InvalidInput: an application without a world, or a number of months that cannot be played.
        Conflict: a simulation runs there, or one was kept running.
        RookeryError: the platform or a part of it does not do its work.
    """
    world = open_world(application, months, seed)
    folder = settings.home / FOLDER
    own = settings.model_copy(update={"home": folder / "platform"})
    with _platform(own, tell, keep=keep):
        year = Year(own, world, folder / "world", tell)
        result = conclude(application, seed, year.play(), world.calendar.shift)
        report = write_report(result, world.calendar, folder)
    if not keep:
        shutil.rmtree(folder / "world", ignore_errors=True)
        platform.purge(own)
    return Played(result, report, own.home)


@contextmanager
def _platform(own: PlatformSettings, tell: Tell, *, keep: bool) -> Iterator[None]:
    player = own.home.parent / _PLAYER
    if platform.running_processes(own):
        if (dead := read_pid_file(player)) is None or dead[0].alive():
            raise Conflict(
                "a simulation runs there",
                value=str(own.home),
                allowed=f"`rookery --home {own.home} down` first",
            )
        tell(f"the simulation of process {dead[0].pid} was killed; what it left is ended")
        _end(own)
    for name in ("platform", "world"):
        shutil.rmtree(own.home.parent / name, ignore_errors=True)
    own.home.parent.mkdir(parents=True, exist_ok=True)
    write_pid_file(player, Process(os.getpid(), start_time(os.getpid()) or "gone"))
    before = signal.signal(signal.SIGTERM, _interrupt)
    done = False
    tell(f"a platform of its own starts in {own.home}")
    try:
        with _variables():
            platform.up(own, lambda *_: None, PortChoice.RANDOM)
            yield
        done = True
    finally:
        signal.signal(signal.SIGTERM, before)
        if not (keep and done):
            _end(own)
        # A platform that is kept has nobody who plays on it.
        player.unlink(missing_ok=True)


def _end(own: PlatformSettings) -> None:
    with suppress(RookeryError):
        engine_runs.stop_all(own)
    platform.down(own, lambda *_: None)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _variables() -> Iterator[None]:
    """What the processes of the platform inherit; afterwards as it was."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(_VARIABLES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def as_json(played: Played) -> str:
    """For `--json`."""
    content = played.result.as_dict() | {"report": str(played.report)}
    return json.dumps(content, indent=2, ensure_ascii=False)
