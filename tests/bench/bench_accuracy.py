"""What the small spectrogram costs: mel-resnet18 at the default for sounds and at the usual large one.

    python -m tests.bench.bench_accuracy [--epochs 6] [--source synthetic-birds?…]

Both are trained by the real train service on the same recordings with overlapping calls of many invented species, and
scored on the same evaluation split by the predictor that serves. Takes a quarter of an hour on 2 cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from services.bundle.reader import read_bundle
from services.common.mlflow_rest import MlflowClient
from services.data.source import load_dataset
from services.evaluate.metrics import Answers, Scorer
from services.serve.predictor import Predictor
from tests.support.servers import mlflow_server, train_server

SOURCE = "synthetic-birds?species=24&recordings=240&seconds=10&overlap=0.5&seed=11"
SETTINGS: dict[str, dict[str, object]] = {
    "default: 5 s windows, 64 bands, hop 640": {},
    "usual: 10 s windows, 128 bands, hop 512": {
        "window_seconds": 10,
        "hop_seconds": 10,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
    },
}


def trained(train: str, mlflow: str, parameters: dict[str, object], folder: Path) -> Path:
    """The bundle of one training."""
    answer = httpx.post(f"{train}/train", params={"application": "bench", **parameters}, timeout=60)
    answer.raise_for_status()
    run_id = answer.json()["run_id"]
    with MlflowClient(mlflow) as client:
        while (run := client.run(run_id))["info"]["status"] == "RUNNING":
            time.sleep(2)
        if run["info"]["status"] != "FINISHED":
            raise RuntimeError(f"the training ended {run['info']['status']}")
        folder.mkdir(parents=True)
        for name in ("bundle.json", "model.onnx", "novelty.onnx", "golden.npz"):
            (folder / name).write_bytes(client.download(run, f"bundle/{name}", max_bytes=1 << 30))
    return folder


def scored(folder: Path, source: str, cache: Path) -> tuple[dict[str, float], float]:
    """Metrics on the evaluation split, and the median milliseconds from bytes to answer on one thread."""
    bundle = read_bundle(folder)
    predictor = Predictor(bundle, threads=1)
    items = load_dataset(source, roots=None, cache=cache).split("evaluation")
    labels = bundle.manifest.labels
    truth = np.array([[label in item.labels for label in labels] for item in items])
    found, seconds = [], []
    for item in items:
        data = item.read()
        begun = time.perf_counter()
        prediction = predictor.predict(data)
        seconds.append(time.perf_counter() - begun)
        found.append(prediction.probabilities)
    answers = Answers(truth, np.array(found, dtype=np.float64), True, bundle.manifest.threshold)
    measured = Scorer(answers)(np.ones((1, len(items))))
    return {name: float(value[0]) for name, value in measured.items()}, statistics.median(seconds) * 1000


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--source", default=SOURCE)
    options = parser.parse_args()
    print(f"{options.source}, {options.epochs} epochs\n", flush=True)
    print(
        "| settings | mAP | macro F1 | minutes to train | ms a 10 s clip |\n|---|---|---|---|---|", flush=True
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mlflow = mlflow_server(folder / "mlflow").start()
        train = train_server(folder / "train", mlflow.url).start()
        try:
            for at, (title, settings) in enumerate(SETTINGS.items()):
                parameters = {
                    "model_name": "mel-resnet18",
                    "data_source": options.source,
                    "epochs": options.epochs,
                    "patience": 0,
                    **settings,
                }
                begun = time.monotonic()
                bundle = trained(train.url, mlflow.url, parameters, folder / f"bundle-{at}")
                minutes = (time.monotonic() - begun) / 60
                metrics, milliseconds = scored(bundle, options.source, folder / "cache")
                row = f"{metrics['map']:.3f} | {metrics['macro_f1']:.3f} | {minutes:.1f} | {milliseconds:.1f}"
                print(f"| {title} | {row} |", flush=True)
        finally:
            train.stop()
            mlflow.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
