"""Finished runs in a real MLflow, with real bundles made without training, for tests of what judges them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from services.bundle.manifest import Dataset
from services.bundle.reader import bundle_digest
from services.common.mlflow_rest import MlflowClient
from services.data.source import load_dataset
from tests.support.bundles import tiny_image_bundle

SOURCE = "digits?items=500"
FILES = ("model.onnx", "novelty.onnx", "bundle.json", "golden.npz")


def digits_data(cache: Path) -> Dataset:
    """What a bundle's manifest says of the digits."""
    data = load_dataset(SOURCE, cache=cache)
    return Dataset(
        source=SOURCE,
        digest=data.digest,
        class_counts=data.class_counts("training"),
        split_sizes=data.split_sizes(),
    )


def finished_run(
    client: MlflowClient, folder: Path, *, application: str, status: str = "FINISHED", **changes: Any
) -> str:
    """A run with a bundle that reads digits well; `changes` are of its manifest. Returns the run id."""
    run_id = client.create_run(client.experiment_id(application), "test", {})
    facts: dict[str, Any] = {"application": application, "run_id": run_id, "dataset": digits_data(folder)}
    bundle = tiny_image_bundle(folder / uuid4().hex, **(facts | changes))
    run = client.run(run_id)
    for name in FILES:
        client.upload(run, f"bundle/{name}", (bundle / name).read_bytes())
    tags = {
        "rookery.application": application,
        "rookery.model_name": "tiny",
        "rookery.bundle_digest": bundle_digest(bundle),
        "rookery.dataset_digest": (facts | changes)["dataset"].digest,
    }
    client.log(run_id, tags=tags)
    if status != "RUNNING":
        client.end_run(run_id, status)
    return run_id
