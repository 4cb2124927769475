"""The process above a step, where the engine's own tests cannot reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from workflows.local.supervisor import StepSpec

SLOW_CHILD = """
import sys, time
from pathlib import Path
from workflows.local import supervisor
become = supervisor._become

def slowly(*arguments):
    time.sleep(0.5)
    become(*arguments)

supervisor._become = slowly
supervisor.supervise(Path(sys.argv[1]))
"""


def test_a_step_that_is_stopped_before_it_has_begun_ends_without_the_grace_period(tmp_path: Path) -> None:
    StepSpec(["sleep", "300"], dict(os.environ), str(tmp_path), grace_seconds=90).save(tmp_path)
    with subprocess.Popen([sys.executable, "-c", SLOW_CHILD, str(tmp_path)]) as supervisor:
        deadline = time.monotonic() + 60
        while not (tmp_path / "child.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
    ended = json.loads((tmp_path / "exit.json").read_bytes())
    assert (ended["code"], ended["reason"]) == (128 + signal.SIGTERM, "stopped")
