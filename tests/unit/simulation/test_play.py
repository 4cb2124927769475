"""A simulation that was killed is no reason to refuse the next one; one at work is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from services.common.errors import Conflict
from workflows.local.pids import start_time
from workflows.local.processes import Process, write_pid_file
from workflows.local.settings import PlatformSettings
from workflows.simulation import play


class Platform:
    """A platform that runs or not; what is done with it is kept."""

    def __init__(self) -> None:
        self.running = False
        self.done: list[str] = []

    def running_processes(self, own: PlatformSettings) -> dict[str, Process]:
        return {"mlflow": Process(1, "x")} if self.running else {}

    def up(self, *_: object) -> None:
        assert not self.running
        self.done.append("up")
        self.running = True

    def down(self, *_: object) -> None:
        self.done.append("down")
        self.running = False


@pytest.fixture
def own(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path / "simulate" / "platform")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Platform:
    made = Platform()
    monkeypatch.setattr(play, "platform", made)
    monkeypatch.setattr(play.engine_runs, "stop_all", lambda _: made.done.append("stop"))
    return made


def player(own: PlatformSettings) -> Path:
    return own.home.parent / "player.json"


def test_it_ends_what_it_began(own: PlatformSettings, machine: Platform) -> None:
    with play._platform(own, lambda _: None, keep=False):
        assert player(own).exists()
    assert machine.done == ["up", "stop", "down"] and not player(own).exists()


def test_what_a_killed_one_left_is_ended_first(own: PlatformSettings, machine: Platform) -> None:
    with subprocess.Popen(["sleep", "60"]) as killed:
        process = Process(killed.pid, start_time(killed.pid) or "")
        killed.kill()
    machine.running = True
    own.home.parent.mkdir(parents=True)
    write_pid_file(player(own), process)
    told: list[str] = []
    with play._platform(own, told.append, keep=False):
        pass
    assert machine.done == ["stop", "down", "up", "stop", "down"]
    assert told[0] == f"the simulation of process {process.pid} was killed; what it left is ended"


def test_one_at_work_and_one_that_is_kept_are_left_alone(own: PlatformSettings, machine: Platform) -> None:
    with play._platform(own, lambda _: None, keep=True):
        assert machine.running
    assert machine.done == ["up"]
    with pytest.raises(Conflict, match="a simulation runs there"), play._platform(own, print, keep=False):
        pass
    write_pid_file(player(own), Process(os.getpid(), start_time(os.getpid()) or ""))
    with pytest.raises(Conflict, match="a simulation runs there"), play._platform(own, print, keep=False):
        pass
    assert machine.done == ["up"]
