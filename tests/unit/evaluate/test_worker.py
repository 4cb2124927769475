"""The process of one evaluation when nobody is left to stop it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from services.evaluate.files import RunFiles
from services.evaluate.settings import EvaluateSettings

REPOSITORY = Path(__file__).parents[3]


def test_a_worker_without_a_service_ends_by_itself(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = EvaluateSettings(
            mlflow_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            state_dir=tmp_path / "state",
            cache_dir=tmp_path / "cache",
            job_seconds=0.5,
        )
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "services.evaluate.worker", "run"],
            input=settings.model_dump_json().encode(),
            cwd=REPOSITORY,
            check=False,
            timeout=180,
        )
    assert done.returncode == -signal.SIGALRM
    assert 5 < time.monotonic() - started < 150
    with RunFiles(settings.state_dir, "run").locked(0.1):
        pass
