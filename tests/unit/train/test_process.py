from __future__ import annotations

import os
import signal
import subprocess
import sys

from services.train.process import is_alive, send, start_time


def test_a_process_is_told_apart_from_a_later_one_with_its_number() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    started = start_time(child.pid)
    assert started is not None
    assert is_alive(child.pid, started)
    assert not is_alive(child.pid, started + 1)
    send(child.pid, started + 1, signal.SIGKILL)
    assert is_alive(child.pid, started)
    send(child.pid, started, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(child.pid, started), "a zombie is not alive"
    child.communicate()
    assert start_time(child.pid) is None
    send(child.pid, started, signal.SIGKILL)
