"""The exit handler: write down how a workflow ended, and tell people when it did not succeed."""

import json
from typing import Any

from services.common.mlflow_rest import MlflowClient
from workflows.local.nodes import said, was_stopped
from workflows.steps import news
from workflows.steps.outcome import say, workflow_step
from workflows.steps.settings import StepSettings

_EXPERIMENT = "workflows"
_MAX_VALUE = 5000
_RECORD_SECONDS = 30.0


@workflow_step
def conclude(
    template: str,
    workflow_name: str,
    workflow_uid: str,
    status: str,
    failures: str,
    parameters: str,
) -> None:
    """Record the workflow as a run of the MLflow experiment `workflows`, once, and tell people of a failure.

    They are told also when MLflow cannot be reached; then the step fails, and its next try tells nothing new.

    Args:
        failures: Argo's JSON list of failed nodes, or empty.
        parameters: the workflow's parameters as Argo's JSON list.
    """
    failed = failed_nodes(failures)
    say(f"{template} {workflow_name} ended {status}" + "".join(f"; {line}" for line in failed))
    tell(StepSettings(), template, workflow_name, workflow_uid, status, failed, parameters)


def tell(
    settings: StepSettings,
    template: str,
    workflow_name: str,
    workflow_uid: str,
    status: str,
    failed: list[str],
    parameters: str,
) -> None:
    """Record a result and tell of a failure; the last step of a workflow does it for a success, which saves a pod.

    Of one that was cancelled nobody is told: somebody wanted that.

    Args:
        parameters: as of `conclude`.
    """
    try:
        record(settings, template, workflow_name, workflow_uid, status, failed, given(parameters))
    finally:
        # People are told above all when the platform itself is in trouble.
        if status != "Succeeded" and not cancelled(failed):
            news.failed(template, workflow_name, status, failed, given(parameters))


def record(
    settings: StepSettings,
    template: str,
    workflow_name: str,
    workflow_uid: str,
    status: str,
    failed: list[str],
    parameters: dict[str, str],
) -> None:
    """Write the result to MLflow; a workflow that is there already is brought up to date.

    The run ends FINISHED, KILLED when somebody cancelled the workflow, else FAILED.

    Raises:
        Unavailable: MLflow does not answer, and time is left to tell people.
    """
    patience = min(settings.mlflow_patience_seconds, _RECORD_SECONDS)
    with MlflowClient(settings.mlflow_url, patience_seconds=patience) as mlflow:
        experiment = mlflow.experiment_id(_EXPERIMENT)
        found = mlflow.search_runs([experiment], f"tags.`rookery.workflow_uid` = '{workflow_uid}'")
        if found:
            run_id = str(found[0]["info"]["run_id"])
        else:
            tags = {
                "rookery.workflow_uid": workflow_uid,
                "rookery.template": template,
                "rookery.status": status,
            }
            run_id = mlflow.create_run(experiment, workflow_name, tags)
        mlflow.log(
            run_id,
            params={key: value[:_MAX_VALUE] for key, value in parameters.items() if value},
            tags={"rookery.failures": "; ".join(failed)[:_MAX_VALUE]},
        )
        mlflow.end_run(
            run_id, "FINISHED" if status == "Succeeded" else "KILLED" if cancelled(failed) else "FAILED"
        )


def failed_nodes(failures: str) -> list[str]:
    """One line for each failed node: its name, and why it says that it failed, else Argo's message."""
    try:
        nodes = json.loads(failures)
    except ValueError:
        return []
    if isinstance(nodes, str):  # Argo gives the list as a JSON string inside JSON
        return failed_nodes(nodes)
    if not isinstance(nodes, list):
        return []
    return [
        f"{node.get('displayName', '?')}: {said(str(node.get('message', ''))) or node.get('message', '')}"
        for node in nodes
        if isinstance(node, dict)
    ]


def cancelled(failed: list[str]) -> bool:
    """Whether somebody stopped the workflow, by the lines of its failed nodes."""
    return any(was_stopped(line.partition(": ")[2]) for line in failed)


def given(parameters: str) -> dict[str, str]:
    """The workflow's parameters as a mapping."""
    items: list[dict[str, Any]] = json.loads(parameters) if parameters else []
    return {str(item["name"]): str(item.get("value", "")) for item in items}
