"""An interrupt is handed on once, at a moment that loses nothing, and not for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from workflows.infra.interrupt import Interrupt


@dataclass
class Child:
    """A process that writes a line for each SIGINT and does not end by it."""

    process: subprocess.Popen[str]
    log: Path

    def interrupts(self) -> int:
        return len(self.log.read_text().splitlines())

    def waits_for(self, count: int) -> None:
        """Until so many interrupts have come."""
        deadline = time.monotonic() + 20
        while self.interrupts() < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.interrupts() == count


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    log = tmp_path / "log"
    log.touch()
    script = f"trap 'echo asked >>{log}' INT; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Child(process, log)
        process.kill()


def interrupt_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_is_handed_on_once_when_nothing_would_be_lost(child: Child) -> None:
    with Interrupt(child.process, 60, lambda: True) as interrupt:
        assert not interrupt.asked
        interrupt_ourselves()
        child.waits_for(1)
        interrupt.look()
        time.sleep(0.7)
    assert interrupt.asked
    assert child.interrupts() == 1


def test_it_waits_while_something_would_be_lost(child: Child) -> None:
    safe = threading.Event()
    with Interrupt(child.process, 60, safe.is_set) as interrupt:
        interrupt_ourselves()
        interrupt.look()
        time.sleep(0.7)
        assert child.interrupts() == 0
        safe.set()
        interrupt.look()
        child.waits_for(1)


def test_what_begins_in_the_next_moment_is_waited_for_too(child: Child) -> None:
    safe = threading.Event()
    safe.set()
    with Interrupt(child.process, 60, safe.is_set):
        interrupt_ourselves()
        safe.clear()
        time.sleep(0.8)
        assert child.interrupts() == 0


def test_a_second_one_does_not_wait(child: Child) -> None:
    with Interrupt(child.process, 60, lambda: False):
        interrupt_ourselves()
        interrupt_ourselves()
        child.waits_for(1)


def test_what_does_not_end_is_ended(child: Child) -> None:
    with Interrupt(child.process, 0.2, lambda: False):
        interrupt_ourselves()
        assert child.process.wait(20) == -signal.SIGKILL


def test_without_an_interrupt_nothing_changes(child: Child) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupt(child.process, 0.1, lambda: True) as interrupt:
        interrupt.look()
        time.sleep(0.3)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not interrupt.asked and child.interrupts() == 0 and child.process.poll() is None


def test_outside_the_main_thread_the_handlers_stay_as_they_are(child: Child) -> None:
    found: list[object] = []

    def other() -> None:
        with Interrupt(child.process, 60, lambda: True):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
