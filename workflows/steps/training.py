"""Start a training and wait for its end. Two steps, so that a lost pod never trains twice."""

import json
import time
from typing import Annotated, Any

from services.common.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError
from services.common.mlflow_rest import MlflowClient, is_terminal, tags_of
from workflows.steps.http import call
from workflows.steps.outcome import Output, say, workflow_step
from workflows.steps.places import facts_of
from workflows.steps.reuse import ask_recipe, newest_run, past_training
from workflows.steps.settings import StepSettings, service_url

IDEMPOTENCY_TAG = "rookery.idempotency_key"
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
_DOUBT_SECONDS, _READING_SECONDS = 10.0, 60.0
_NOT_HYPERPARAMETERS = frozenset(
    ["train-ip", "eval-ip", "mlflow-ip", "model-name", "data-source", "application", "requested-by", "force"]
)


@workflow_step
def start_training(
    application: str,
    model_name: str,
    data_source: str,
    train_ip: str,
    mlflow_ip: str,
    force: str,
    parameters: str,
    workflow_uid: str,
) -> Annotated[str, Output("run-id")]:
    """Ask the train service for a training; the workflow's uid is the idempotency key.

    When the newest finished run of the application was made from the same data, code, parameters and environment, and
    all that it left is there, it is used again instead.

    Args:
        model_name: family to train; empty for the application's own.
        data_source: where the data are; empty for the application's own.
        parameters: the workflow's parameters as Argo's JSON list of name and value; the hyperparameters among
            them that are not empty are passed on under their names, with `-` as `_`.
        force: `true`: train anyway.
    """
    settings = StepSettings()
    url = service_url(train_ip, settings.train_url, 9090)
    facts = facts_of(settings, application)
    model_name, data_source = model_name or facts.model_name, data_source or facts.data_source
    query = {
        "application": application,
        "model_name": model_name,
        "data_source": data_source,
        **hyperparameters(parameters),
    }
    if force != "true" and (known := _made_before(settings, url, query, mlflow_ip)):
        return known
    answer = call(
        "POST",
        f"{url}/train",
        params=query,
        headers={"Idempotency-Key": workflow_uid},
        patience_seconds=_PATIENCE_SECONDS,
    )
    run_id = str(answer.json()["run_id"])
    say(f"training of {model_name} on {data_source} is run {run_id}")
    return run_id


def _made_before(settings: StepSettings, url: str, query: dict[str, str], mlflow_ip: str) -> str:
    """The run to use again; empty when there is none, with what was found said. Doubt is settled by training."""
    application = query["application"]
    try:
        recipe = ask_recipe(url, query, patience_seconds=_DOUBT_SECONDS, wait_seconds=_READING_SECONDS)
        if recipe is None:
            return ""
        address = service_url(mlflow_ip, settings.mlflow_url, 8000)
        with MlflowClient(address, patience_seconds=_DOUBT_SECONDS) as mlflow:
            past = past_training(mlflow, application, str(recipe["key"]))
            newest = newest_run(mlflow, application) if past else None
    except RookeryError as error:
        say(f"whether this was trained before is not known: {error.message}")
        return ""
    if past is None:
        return ""
    if past.missing:
        say(f"the same was trained before: {past.words}; so it is trained again")
        return ""
    if newest is None or newest["info"]["run_id"] != past.run_id:
        say(f"the same was trained before: {past.words}; another run is newer, so it is trained again")
        return ""
    say(
        f"data, code, parameters and environment are those of {past.words}, which is used again (force=true trains)"
    )
    return past.run_id


@workflow_step
def wait_for_training(
    run_id: str,
    mlflow_ip: str,
) -> Annotated[str, Output("state")]:
    """Poll MLflow until the run is FINISHED; print each epoch as it ends.

    Raises:
        Refused: the run ended FAILED or KILLED; the reason that the training gave is kept.
        Unavailable: MLflow did not answer for the time that the settings allow.
    """
    settings = StepSettings()
    url = service_url(mlflow_ip, settings.mlflow_url, 8000)
    seen = ""
    with MlflowClient(url, patience_seconds=settings.mlflow_patience_seconds) as mlflow:
        while True:
            run = mlflow.run(run_id)
            if (line := progress(run)) != seen:
                say(line)
                seen = line
            state = str(run["info"]["status"])
            if is_terminal(state):
                break
            time.sleep(_POLL_SECONDS)
    if state != "FINISHED":
        reason = tags_of(run).get("rookery.reason", "no reason was recorded; see the train service's log")
        raise Refused(f"run {run_id} ended {state}: {reason}")
    say(f"run {run_id} is FINISHED")
    return state


@workflow_step
def stop_training(
    application: str,
    train_ip: str,
    mlflow_ip: str,
    workflow_uid: str,
) -> None:
    """After a workflow that did not succeed: cancel the training that it started, if that still runs."""
    settings = StepSettings()
    url = service_url(mlflow_ip, settings.mlflow_url, 8000)
    with MlflowClient(url, patience_seconds=settings.mlflow_patience_seconds) as mlflow:
        experiment = mlflow.experiment_id(application)
        found = mlflow.search_runs([experiment], f"tags.`{IDEMPOTENCY_TAG}` = '{workflow_uid}'")
    running = [str(run["info"]["run_id"]) for run in found if not is_terminal(str(run["info"]["status"]))]
    if not running:
        say("no training of this workflow runs")
        return
    train = service_url(train_ip, settings.train_url, 9090)
    for run_id in running:
        try:
            call("POST", f"{train}/runs/{run_id}/cancel", patience_seconds=_PATIENCE_SECONDS)
        except (Conflict, NotFound) as error:
            say(f"run {run_id} was not cancelled: {error}")
        else:
            say(f"run {run_id} is cancelled")


def hyperparameters(parameters: str) -> dict[str, str]:
    """The hyperparameters among a workflow's parameters, under the names that the train service knows."""
    try:
        items: list[dict[str, Any]] = json.loads(parameters)
        given = {str(item["name"]): str(item.get("value", "")) for item in items}
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput("the workflow's parameters are no JSON list", value=parameters) from error
    return {
        name.replace("-", "_"): value
        for name, value in given.items()
        if value != "" and name not in _NOT_HYPERPARAMETERS
    }


def progress(run: dict[str, Any]) -> str:
    """The newest epoch and its metrics in one line."""
    metrics = {item["key"]: item for item in run.get("data", {}).get("metrics", [])}
    if not metrics:
        return f"run {run['info']['run_id']} is {run['info']['status']}"
    epoch = max(int(item.get("step", 0)) for item in metrics.values())
    shown = ", ".join(f"{key} {float(item['value']):.4g}" for key, item in sorted(metrics.items())[:6])
    return f"epoch {epoch}: {shown}"
