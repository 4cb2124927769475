"""What a training says to MLflow, beyond what every part says: dated metrics, the dataset, a search by tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.common.mlflow_rest import MlflowClient, MlflowError
from services.data.dataset import Dataset

TAG_APPLICATION = "rookery.application"
TAG_MODEL_NAME = "rookery.model_name"
TAG_DATASET = "rookery.dataset_digest"
TAG_BUNDLE = "rookery.bundle_digest"
TAG_RECIPE = "rookery.recipe"
TAG_CODE = "rookery.code_digest"
TAG_ENVIRONMENT = "rookery.environment_digest"
TAG_REVISION = "rookery.code_revision"
TAG_KEY = "rookery.idempotency_key"
TAG_JOB = "rookery.job"
TAG_REASON = "rookery.reason"
_METRICS_AT_ONCE = 900
_DIGEST_CHARACTERS = 36
_TAG_CHARACTERS = 5000


class Tracking(MlflowClient):
    """The calls of the train service and its jobs."""

    def experiments(self) -> dict[str, str]:
        """Ids of experiments by name, of the thousand that changed last."""
        body = {"max_results": 1000, "view_type": "ACTIVE_ONLY"}
        found = self._post("/experiments/search", body).get("experiments", [])
        return {str(one["name"]): str(one["experiment_id"]) for one in found}

    def new_experiment(self, name: str) -> str | None:
        """The id of an experiment that this call has made; nothing when MLflow makes none of that name."""
        try:
            return str(self._post("/experiments/create", {"name": name})["experiment_id"])
        except MlflowError:
            return None

    def find_by_tag(self, experiment_id: str, tag: str, value: str) -> list[dict[str, Any]]:
        """Runs with that tag, oldest first. `value` must be free of quotes."""
        found = self.search_runs([experiment_id], f"tags.`{tag}` = '{value}'")
        return sorted(found, key=lambda run: int(run["info"]["start_time"]))

    def log_history(self, run_id: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Metrics of epochs, dated when they were computed: sent twice they are stored once."""
        metrics = [
            {"key": name, "value": value, "timestamp": int(row["time"]), "step": int(row["epoch"])}
            for row in rows
            for name, value in row.items()
            if name not in ("epoch", "time")
        ]
        for at in range(0, len(metrics), _METRICS_AT_ONCE):
            body = {
                "run_id": run_id,
                "metrics": metrics[at : at + _METRICS_AT_ONCE],
                "params": [],
                "tags": [],
            }
            self._post("/runs/log-batch", body)

    def log_dataset(self, run_id: str, dataset: Dataset) -> None:
        """The dataset as the run's input, as MLflow's own page of the run shows it."""
        entry = {
            "name": dataset.source[:500],
            "digest": dataset.digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS],
            "source_type": "rookery",
            "source": dataset.source,
        }
        tags = [{"key": "mlflow.data.context", "value": "training"}]
        self._post("/runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": entry, "tags": tags}]})

    def close_run(self, run_id: str, status: str, reason: str = "") -> str:
        """End a run that has not ended; returns the state it is in afterwards.

        Raises:
            NotFound: MLflow has no such run.
        """
        present = str(self.run(run_id)["info"]["status"])
        if present in ("FINISHED", "FAILED", "KILLED"):
            return present
        if reason:
            self.log(run_id, tags={TAG_REASON: reason[:_TAG_CHARACTERS]})
        self.end_run(run_id, status)
        return status
