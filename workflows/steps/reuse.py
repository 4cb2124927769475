"""What was made from the same data, code, parameters and environment before, and whether all of it is still there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.common.errors import NotFound, Unavailable
from services.common.mlflow_rest import MlflowClient, tags_of
from workflows.steps.http import call

RECIPE_TAG = "rookery.recipe"
VERDICT_TAG = "rookery.decision"
BUNDLE = ("model.onnx", "novelty.onnx", "bundle.json", "golden.npz")
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Past:
    """A finished training.

    Attributes:
        version: registered for it; empty when none is.
        missing: what it left and is not there any more; with anything missing it cannot be used again.
    """

    run_id: str
    version: str
    missing: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """For people."""
        made = f"run {self.run_id[:12]}" + (
            f" made version {self.version}" if self.version else " is finished"
        )
        return f"{made}, but {', '.join(self.missing)} missing" if self.missing else made


def ask_recipe(
    url: str, query: Mapping[str, str], *, patience_seconds: float = 60.0, wait_seconds: float = 1800.0
) -> dict[str, Any] | None:
    """What a training would be made of, as the train service says; None when it is older and does not know.

    Raises:
        Unavailable: it does not answer, or reads the data for longer than `wait_seconds`.
        RookeryError: it refuses the data or a parameter.
    """
    end = time.monotonic() + wait_seconds
    while True:
        try:
            answer = call("GET", f"{url}/recipe", params=dict(query), patience_seconds=patience_seconds)
        except NotFound:
            return None
        if answer.status_code == 200:
            return dict(answer.json())
        if time.monotonic() > end:
            raise Unavailable(
                f"the train service has read the data for {wait_seconds:g} s", value=query.get("data_source")
            )
        time.sleep(_PAUSE_SECONDS)


def past_training(mlflow: MlflowClient, application: str, key: str) -> Past | None:
    """The newest finished run with this recipe, with what is missing of it."""
    experiment = mlflow.experiment_id(application)
    condition = f"tags.`{RECIPE_TAG}` = '{key}' and attributes.status = 'FINISHED'"
    found = mlflow.search_runs([experiment], condition, limit=1)
    if not found:
        return None
    run_id = str(found[0]["info"]["run_id"])
    there = mlflow.artifacts(run_id, "bundle")
    missing = [f"bundle/{name}" for name in BUNDLE if f"bundle/{name}" not in there]
    version = next(
        (str(one["version"]) for one in mlflow.versions(application) if one.get("run_id") == run_id), ""
    )
    if not version and tags_of(found[0]).get(VERDICT_TAG) == "accepted":
        missing.append("its registered version")
    return Past(run_id, version, tuple(missing))


def newest_run(mlflow: MlflowClient, application: str) -> dict[str, Any] | None:
    """The finished run of an application that began last."""
    experiment = mlflow.experiment_id(application)
    found = mlflow.search_runs([experiment], "attributes.status = 'FINISHED'", limit=1)
    return found[0] if found else None
