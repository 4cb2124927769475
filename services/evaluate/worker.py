"""The process of one evaluation: `python -m services.evaluate.worker RUN_ID`, settings as JSON on stdin.

It may be killed at any point and begun again. One process at a time works on a run, held by a lock on its folder. It
ends itself a little after the service would have ended it, so one whose service is gone does not hold the run for ever.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from services.common.errors import RookeryError
from services.common.mlflow_rest import MlflowClient
from services.evaluate.files import ANSWER, FAILURE, GATE, METRICS, PHASE, REPORT, RunFiles
from services.evaluate.settings import EvaluateSettings

_GRACE_SECONDS = 5.0


def work(run_id: str, settings: EvaluateSettings) -> None:
    """Judge a run and publish the verdict, whatever of it is not done yet.

    Raises:
        RookeryError: see `services.evaluate.evaluation.evaluate` and `services.evaluate.publish`.
    """
    files = RunFiles(settings.state_dir, run_id)
    with files.locked(settings.job_seconds):
        if files.json(ANSWER) is not None:
            return
        with _client(settings) as client:
            _work(client, files, run_id, settings)


def _work(client: MlflowClient, files: RunFiles, run_id: str, settings: EvaluateSettings) -> None:
    from services.evaluate.publish import publish, recover

    def say(phase: str) -> None:
        files.write(PHASE, phase.encode())

    run = client.run(run_id)
    if files.json(GATE) is None and not recover(client, run, files):
        from services.evaluate.evaluation import evaluate

        for left in files.folder.glob("work-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=files.folder, prefix="work-") as folder:
            found = evaluate(client, run, settings, Path(folder), say)
        files.write(REPORT, found.html.encode())
        files.write(METRICS, found.metrics)
        files.write(GATE, found.gate)
    say("publishing")
    publish(client, run, files)


def _client(settings: EvaluateSettings) -> MlflowClient:
    return MlflowClient(
        str(settings.mlflow_url),
        patience_seconds=settings.mlflow_patience_seconds,
        timeout_seconds=max(20.0, settings.mlflow_timeout_seconds),
    )


def main() -> int:
    """Exit code 0 when the answer is on disk, 1 when failure.json says why not."""
    run_id, settings = sys.argv[1], EvaluateSettings(**json.load(sys.stdin))
    # The signal's own effect, so that it also ends a process that is stuck in native code.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, settings.job_seconds + _GRACE_SECONDS)
    try:
        work(run_id, settings)
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, RookeryError):
            failure = {**error.as_dict(), "status": error.status}
        else:
            failure = {"error": "error", "message": f"{type(error).__name__}: {error}", "status": 500}
        RunFiles(settings.state_dir, run_id).write(FAILURE, {**failure, "at": time.time()})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
