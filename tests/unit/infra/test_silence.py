"""What hangs is ended with what it started; what speaks is left alone."""

from __future__ import annotations

import math
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from workflows.infra import silence as module
from workflows.infra.silence import Silence


def started(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)


def test_one_that_says_nothing_is_ended_with_its_children() -> None:
    with started("sleep 60 & echo $!; wait") as process:
        silence = Silence(0.3)
        assert process.stdout is not None
        assert process.stdout.readline()
        while (left := silence.look(process)) != math.inf:
            time.sleep(left)
        # The end of the pipe, which the child holds open too.
        assert process.stdout.read() == b""
        assert process.wait(20) == -signal.SIGKILL
    assert silence.ended


def test_one_that_speaks_now_and_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with started("exec sleep 60") as process:
        silence = Silence(1)
        for _ in range(6):
            now[0] += 0.75
            silence.heard()
            assert 0 < silence.look(process) <= 1
        assert process.poll() is None and not silence.ended
        process.kill()


def test_one_that_is_done_is_not_killed_again() -> None:
    with started("exit 0") as process:
        process.wait(20)
        silence = Silence(0)
        assert silence.look(process) == math.inf
        assert process.returncode == 0
