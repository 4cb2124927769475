"""One process at a time; a bound on the wait; a dead holder holds nothing."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from pathlib import Path

from services.common.locks import take

HOLD = (
    "import fcntl, sys, time; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
    "print('held', flush=True); time.sleep(300)"
)


def test_who_waits_has_it_when_the_holder_is_gone_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with (
        path.open() as file,
        subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder,
    ):
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        assert not take(file.fileno(), 0.2, pause=0.02)
        assert 0.2 <= time.monotonic() - began < 30
        holder.kill()
        assert take(file.fileno(), 60)


def test_one_that_is_free_is_taken_at_once(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open() as file:
        assert take(file.fileno(), 0)
        fcntl.flock(file, fcntl.LOCK_UN)
