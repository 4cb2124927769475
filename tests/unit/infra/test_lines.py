"""Lines come as they are written, whole, and nothing makes them wait."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

from workflows.infra.interrupt import Interrupt
from workflows.infra.lines import lines
from workflows.infra.silence import Silence


def started(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)


def said(script: str) -> list[str]:
    with Interrupt(60, lambda: True) as interrupt, started(script) as process:
        return list(lines(process, interrupt, Silence(60)))


def test_pieces_of_lines_are_put_together() -> None:
    script = "printf 'one\\ntw'; sleep 0.2; printf 'o\\n\\nthr'; sleep 0.2; printf 'ee'"
    assert said(script) == ["one\n", "two\n", "\n", "three"]


def test_a_letter_in_two_pieces_and_bytes_that_are_none() -> None:
    assert said("printf '\\303'; sleep 0.2; printf '\\244\\n\\377\\n\\303'") == ["ä\n", "\ufffd\n", "\ufffd"]


def test_much_output_comes_whole() -> None:
    found = said("seq 100000")
    assert len(found) == 100_000 and found[-1] == "100000\n"


def test_one_that_closed_its_output_is_waited_for() -> None:
    with Interrupt(60, lambda: True) as interrupt, started("exec >&-; sleep 0.5; exit 3") as process:
        assert list(lines(process, interrupt, Silence(60))) == []
        assert process.returncode == 3


def test_one_that_closed_its_output_and_hangs_is_ended() -> None:
    silence = Silence(0.5)
    with Interrupt(60, lambda: True) as interrupt, started("exec >&-; exec sleep 60") as process:
        assert list(lines(process, interrupt, silence)) == []
        assert process.returncode == -signal.SIGKILL and silence.ended


def test_an_interrupt_that_wakes_no_read_is_handed_on_all_the_same() -> None:
    # A signal that another thread takes leaves the main thread asleep, as one does that comes just before a read.
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    began = time.monotonic()
    script = "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done"
    with Interrupt(60, lambda: True) as interrupt, started(script) as process:
        for _ in lines(process, interrupt, Silence(30)):
            assert other.ident is not None
            late = threading.Timer(0.3, signal.pthread_kill, (other.ident, signal.SIGINT))
            late.start()
        assert process.returncode == 7 and interrupt.asked
    assert time.monotonic() - began < 20
    over.set()
    other.join()


def test_what_was_said_before_an_interrupt_is_taken_first() -> None:
    taken: list[str] = []
    script = "trap 'exit 7' INT; echo unsafe; sleep 1; echo safe; while :; do sleep 0.05; done"
    with Interrupt(60, lambda: taken[-1:] == ["safe\n"]) as interrupt, started(script) as process:
        os.kill(os.getpid(), signal.SIGINT)
        for line in lines(process, interrupt, Silence(30)):
            taken.append(line)
        assert process.returncode == 7
    assert taken == ["unsafe\n", "safe\n"]
