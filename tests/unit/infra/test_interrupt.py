"""An interrupt is handed on once, at a moment that loses nothing, and not for ever."""

from __future__ import annotations

import math
import os
import select
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

    process: subprocess.Popen[bytes]
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
    # A shell traps nothing that is ignored where it begins, as in a command line that ends in &.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        signal.signal(signal.SIGINT, former)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Child(process, log)
        process.kill()


def interrupt_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_is_handed_on_once_when_nothing_would_be_lost(child: Child) -> None:
    with Interrupt(60, lambda: True) as interrupt:
        assert interrupt.look(child.process) == math.inf and not interrupt.asked
        interrupt_ourselves()
        assert 0 < interrupt.look(child.process) <= 0.5
        time.sleep(0.6)
        for _ in range(3):
            assert 50 < interrupt.look(child.process) <= 60
        child.waits_for(1)
        time.sleep(0.2)
    assert interrupt.asked
    assert child.interrupts() == 1


def test_it_waits_while_something_would_be_lost(child: Child) -> None:
    safe = threading.Event()
    with Interrupt(60, safe.is_set) as interrupt:
        interrupt_ourselves()
        assert 50 < interrupt.look(child.process) <= 60
        time.sleep(0.7)
        interrupt.look(child.process)
        assert child.interrupts() == 0
        safe.set()
        assert interrupt.look(child.process) <= 0.5
        time.sleep(0.6)
        interrupt.look(child.process)
        child.waits_for(1)


def test_what_begins_in_the_next_moment_is_waited_for_too(child: Child) -> None:
    safe = threading.Event()
    safe.set()
    with Interrupt(60, safe.is_set) as interrupt:
        interrupt_ourselves()
        interrupt.look(child.process)
        safe.clear()
        time.sleep(0.6)
        assert interrupt.look(child.process) > 50
        safe.set()
        assert interrupt.look(child.process) <= 0.5
    assert child.interrupts() == 0


def test_a_second_one_does_not_wait(child: Child) -> None:
    with Interrupt(60, lambda: False) as interrupt:
        interrupt_ourselves()
        interrupt_ourselves()
        interrupt.look(child.process)
        child.waits_for(1)


def test_what_does_not_end_is_ended(child: Child) -> None:
    with Interrupt(0.2, lambda: False) as interrupt:
        interrupt_ourselves()
        time.sleep(interrupt.look(child.process))
        interrupt.look(child.process)
        assert child.process.wait(20) == -signal.SIGKILL
        interrupt_ourselves()
        assert interrupt.look(child.process) == math.inf


def test_one_that_another_thread_took_is_not_lost(child: Child) -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    with Interrupt(60, lambda: True) as interrupt:
        assert other.ident is not None
        signal.pthread_kill(other.ident, signal.SIGINT)
        assert select.select([interrupt], [], [], 20)[0] == [interrupt]
        interrupt.look(child.process)
        assert interrupt.asked
    over.set()
    other.join()


def test_other_signals_are_none(child: Child) -> None:
    former = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Interrupt(60, lambda: True) as interrupt:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert interrupt.look(child.process) == math.inf
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert not interrupt.asked


def test_one_at_the_very_end_is_known(child: Child) -> None:
    with Interrupt(60, lambda: True) as interrupt:
        interrupt_ourselves()
    assert interrupt.asked and child.interrupts() == 0


def test_without_an_interrupt_nothing_changes(child: Child) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    former = signal.set_wakeup_fd(writer)
    try:
        with Interrupt(0.1, lambda: True) as interrupt:
            time.sleep(0.3)
            interrupt.look(child.process)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        assert signal.set_wakeup_fd(former) == writer
        os.close(reader)
        os.close(writer)
    assert not interrupt.asked and child.interrupts() == 0 and child.process.poll() is None


def test_outside_the_main_thread_the_handlers_stay_as_they_are(child: Child) -> None:
    found: list[object] = []

    def other() -> None:
        with Interrupt(60, lambda: True) as interrupt:
            found.append(signal.getsignal(signal.SIGINT))
            found.append(interrupt.look(child.process))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT), math.inf]
