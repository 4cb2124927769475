"""What hangs is ended with what it started; what speaks is left alone."""

from __future__ import annotations

import signal
import subprocess
import time

from workflows.infra.silence import Silence


def started(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_one_that_says_nothing_is_ended_with_its_children() -> None:
    with started("sleep 60 & echo $!; wait") as process, Silence(process, 0.3) as silence:
        assert process.stdout is not None
        assert process.stdout.readline()
        # The end of the pipe, which the child holds open too.
        assert process.stdout.read() == ""
        assert process.wait(20) == -signal.SIGKILL
    assert silence.ended


def test_one_that_speaks_now_and_then_goes_on() -> None:
    with (
        started("for n in 1 2 3 4 5 6; do echo $n; sleep 0.2; done") as process,
        Silence(process, 0.8) as silence,
    ):
        assert process.stdout is not None
        for _ in process.stdout:
            silence.heard()
        assert process.wait(20) == 0
    assert not silence.ended


def test_it_does_not_hold_up_one_that_is_done() -> None:
    began = time.monotonic()
    with started("exit 0") as process, Silence(process, 60) as silence:
        process.wait(20)
    assert time.monotonic() - began < 20 and not silence.ended
