from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.common.errors import Unavailable
from services.data import lock
from services.data.lock import locked

HOLD = (
    "import sys, time; from pathlib import Path; from services.data.lock import locked\n"
    "with locked(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(300)"
)


@pytest.fixture
def held(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_killed_holder_gives_the_lock_back(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    held.kill()
    held.communicate(timeout=60)
    begun = time.monotonic()
    with locked(tmp_path / "lock"):
        assert time.monotonic() - begun < 60


def test_a_lock_that_stays_held_is_said(
    tmp_path: Path, held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_LONGEST_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="another process"), locked(tmp_path / "lock"):
        raise AssertionError("two processes hold the lock")
    held.kill()
    held.communicate(timeout=60)
