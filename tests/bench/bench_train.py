"""How fast `POST /train` answers, and how soon the step that waits for a training notices its end.

    python -m tests.bench.bench_train [--rounds 15]

A real MLflow and a real train service. There is no peer: the bound is what a person at a prompt notices.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from services.common.mlflow_rest import MlflowClient
from tests.support.servers import mlflow_server, train_server


def post_seconds(url: str, rounds: int) -> list[float]:
    """Seconds of each `POST /train`; the trainings are cancelled at once."""
    found = []
    with httpx.Client(base_url=url, timeout=60) as http:
        for seed in range(rounds + 1):
            query = {
                "model_name": "cnn",
                "data_source": "digits",
                "application": "bench",
                "epochs": 1,
                "seed": seed,
            }
            begun = time.perf_counter()
            answer = http.post("/train", params=query)
            found.append(time.perf_counter() - begun)
            answer.raise_for_status()
            http.post(f"/runs/{answer.json()['run_id']}/cancel")
    return found


def notice_seconds(url: str, folder: Path, rounds: int) -> list[float]:
    """Seconds from the end of a run in MLflow to the end of the step's process that waited for it."""
    found = []
    with MlflowClient(url) as client:
        experiment = client.experiment_id("bench-notice")
        for _ in range(rounds):
            run_id = client.create_run(experiment, "awaited", {})
            inputs = folder / "inputs.json"
            values = {"run-id": run_id, "mlflow-ip": url}
            inputs.write_text(json.dumps([{"name": name, "value": value} for name, value in values.items()]))
            step = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "workflows.steps.run",
                    "workflows.steps.training:wait_for_training",
                    folder / "outputs",
                    inputs,
                ],
                stdout=subprocess.PIPE,
            )
            assert step.stdout is not None
            step.stdout.readline()
            ended: list[float] = []

            def end(run_id: str = run_id, ended: list[float] = ended) -> None:
                client.end_run(run_id, "FINISHED")
                ended.append(time.perf_counter())

            thread = threading.Timer(0.3, end)
            thread.start()
            step.wait(30)
            found.append(time.perf_counter() - ended[0])
            thread.join()
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mlflow = mlflow_server(folder / "mlflow").start()
        train = train_server(folder / "train", mlflow.url).start()
        try:
            first, *rest = post_seconds(train.url, rounds)
            noticed = notice_seconds(mlflow.url, folder, max(3, rounds // 3))
        finally:
            train.stop()
            mlflow.stop()
    print("| what | median s | worst s | aim s |\n|---|---|---|---|")
    print(f"| POST /train, the first for an application | {first:.3f} | {first:.3f} | 0.3 |")
    print(f"| POST /train | {statistics.median(rest):.3f} | {max(rest):.3f} | 0.3 |")
    print(
        f"| end of the run to end of the waiting step | {statistics.median(noticed):.3f} | {max(noticed):.3f} | 1 |"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
