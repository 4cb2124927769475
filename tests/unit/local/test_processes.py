"""Processes by pid and start time: real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.common.files import write_json
from workflows.local.pids import start_time
from workflows.local.processes import (
    Process,
    leftovers,
    read_json,
    read_pid_file,
    spawn_detached,
    stop,
    wait_gone,
    write_pid_file,
)

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print(p.pid, flush=True); time.sleep(60)"
)


def _start(tmp_path: Path, code: str) -> Process:
    return spawn_detached(
        [sys.executable, "-c", code], log=tmp_path / "log", env=dict(os.environ), cwd=tmp_path
    )


def _words(tmp_path: Path, count: int = 1) -> list[str]:
    """The first words of the log, once there are so many."""
    deadline = time.monotonic() + 60
    while len(words := (tmp_path / "log").read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return words


def test_a_process_is_alive_until_it_is_stopped(tmp_path: Path) -> None:
    process = _start(tmp_path, SLEEP)
    assert process.alive()
    assert stop([process], 10) == []
    assert not process.alive()


BOUND = (
    "import os, sys, time; from pathlib import Path; from workflows.local.processes import spawn_bound\n"
    "process, child = spawn_bound(['sleep', '60'], log=Path(sys.argv[1]), env=dict(os.environ), cwd=Path('.'))\n"
    "print(process.pid, process.start_time, flush=True); time.sleep(60)"
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_bound_dies_with_its_parent_however_that_dies(
    tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BOUND, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, started = parent.stdout.readline().split()
        bound = Process(int(pid), started)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}/comm").read_text() != "sleep\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert bound.alive()
        parent.send_signal(number)
        parent.wait(60)
        assert wait_gone([bound], 30) == []


def test_one_that_ignores_sigterm_is_killed_after_the_bound(tmp_path: Path) -> None:
    process = _start(tmp_path, STUBBORN)
    _words(tmp_path)
    began = time.monotonic()
    assert stop([process], 0.3) == [process]
    assert not process.alive()
    assert time.monotonic() - began < 40


def test_children_that_are_left_behind_end_with_the_group(tmp_path: Path) -> None:
    process = _start(tmp_path, PARENT)
    child = int(_words(tmp_path)[0])
    assert start_time(child) is not None
    stop([process], 10)
    deadline = time.monotonic() + 30
    while start_time(child) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _orphan(tmp_path: Path, mark: str) -> tuple[Process, int]:
    process = spawn_detached(
        [sys.executable, "-c", PARENT], log=tmp_path / "log", env=dict(os.environ), cwd=tmp_path, mark=mark
    )
    child = int(_words(tmp_path)[0])
    process.signal(signal.SIGKILL)
    assert wait_gone([process], 10) == []
    return process, child


def test_what_a_killed_process_left_is_found_by_its_mark_alone(tmp_path: Path) -> None:
    process, child = _orphan(tmp_path, "one")
    assert leftovers(process, "") == leftovers(process, "other") == []
    found = leftovers(process, "one")
    assert [one.pid for one in found] == [child]
    assert stop(found, 10) == []
    assert start_time(child) is None
    assert leftovers(process, "one") == []


def test_nothing_is_left_over_while_the_number_belongs_to_a_living_process(tmp_path: Path) -> None:
    assert leftovers(Process(os.getpid(), "1"), "one") == []


def test_a_stubborn_process_without_a_group_is_killed(tmp_path: Path) -> None:
    process = _start(tmp_path, PARENT.replace("'import time; time.sleep(60)'", repr(STUBBORN)))
    # The number of the child, and the child's own word that it is ready, in whatever order.
    child = next(int(word) for word in _words(tmp_path, 2) if word.isdigit())
    one = Process(child, start_time(child) or "")
    assert stop([one], 0.3) == [one]
    assert not one.alive()
    stop([process], 10)


def test_a_pid_that_was_given_to_another_process_is_not_touched(tmp_path: Path) -> None:
    process = _start(tmp_path, SLEEP)
    stranger = Process(process.pid, "1")
    assert not stranger.alive()
    stranger.signal(signal.SIGKILL)
    assert stop([stranger], 0.1) == []
    assert process.alive()
    stop([process], 10)


def test_a_pid_file_names_the_process_and_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "pids" / "mlflow.json"
    process = Process(os.getpid(), start_time(os.getpid()) or "")
    write_pid_file(path, process, port=8000)
    assert read_pid_file(path) == (process, {"port": 8000})
    assert [entry.name for entry in path.parent.iterdir()] == ["mlflow.json"]


def test_a_torn_or_foreign_file_is_no_pid_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert read_pid_file(path) is None
    for text in ("", "{", "[]", '{"pid": "1"}', "{}"):
        path.write_text(text)
        assert read_pid_file(path) is None
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
