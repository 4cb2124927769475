"""The steps that commit: a new version to staging, a promotion, a rollback."""

import json
from typing import Annotated, Any

from services.common.errors import Refused
from services.common.mlflow_rest import MlflowClient, tags_of
from workflows.release.evidence import Evidence, Gate, Metric
from workflows.release.release import ReleaseResult, promote, release
from workflows.release.release import check_promotion as check
from workflows.release.rollback import rollback
from workflows.release.running import RunningModel, fetch_running
from workflows.steps.judging import standing
from workflows.steps.outcome import Output, say, workflow_step
from workflows.steps.packaging import pack
from workflows.steps.places import environment_url, facts_of, images, repository, workflow_token
from workflows.steps.settings import StepSettings, service_url

_MAX_GATE_BYTES = 4 << 20
_NOBODY = "unnamed user"


@workflow_step
def release_to_staging(
    application: str,
    model_version: str,
    mlflow_ip: str,
    requested_by: str,
    workflow_name: str,
    workflow_uid: str,
) -> tuple[Annotated[str, Output("image-digest")], Annotated[str, Output("commit")]]:
    """Pack an accepted version, and commit it to the application's first environment with all that is known of it.

    Both can be repeated: the same version gives the same digest, and the commit is found in the history.
    """
    settings = StepSettings()
    image_digest = pack(settings, application, model_version, mlflow_ip)
    facts = facts_of(settings, application)
    with registry(settings, mlflow_ip) as mlflow:
        version = mlflow.version(application, model_version)
        run = mlflow.run(str(version["run_id"]))
        report = mlflow.download(run, "evaluation/gate.json", max_bytes=_MAX_GATE_BYTES)
        gate = json.loads(report)
    tags = {**tags_of(run), **version["tags"]}
    evidence = Evidence(
        application=application,
        environment=facts.environments[0],
        model_name=tags["rookery.model_name"],
        model_version=model_version,
        run_id=str(version["run_id"]),
        dataset_digest=tags["rookery.dataset_digest"],
        bundle_digest=tags["rookery.bundle_digest"],
        image_digest=image_digest,
        image_name=images(settings).name(application),
        code_revision=tags["rookery.code_revision"],
        metric=main_metric(gate),
        gate=Gate.from_report(gate),
        requested_by=requested_by or _NOBODY,
        workflow=workflow_token(workflow_name, workflow_uid),
    )
    result = release(repository(settings), evidence)
    _say(result, "released to")
    return image_digest, result.commit


@workflow_step
def check_promotion(
    application: str,
    source_environment: str,
    target_environment: str,
    model_version: str,
    judge: str,
    judge_without: str,
    mlflow_ip: str,
) -> None:
    """Say before anybody is asked to approve whether the promotion could be made now; commits nothing."""
    settings = StepSettings()
    facts = facts_of(settings, application)
    facts.check_transition(source_environment, target_environment)
    proof = check(
        repository(settings),
        application,
        source_environment,
        target_environment,
        model_version,
        running=lambda: _running(settings, application, source_environment),
        gate=registered_gate(settings, mlflow_ip, application, model_version),
    )
    standing(settings, proof, target_environment, judge, judge_without)
    say(f"version {model_version} of {application} may go from {source_environment} to {target_environment}")


@workflow_step
def commit_promotion(
    application: str,
    source_environment: str,
    target_environment: str,
    model_version: str,
    judge: str,
    judge_without: str,
    mlflow_ip: str,
    requested_by: str,
    workflow_name: str,
    workflow_uid: str,
) -> Annotated[str, Output("commit")]:
    """Promote by one commit, after checking every precondition against the parent of that commit."""
    settings = StepSettings()
    with registry(settings, mlflow_ip) as mlflow:
        tags = mlflow.version(application, model_version)["tags"]
    verification = tags.get(verification_tag(source_environment))
    result = promote(
        repository(settings),
        application,
        source_environment,
        target_environment,
        model_version,
        running=lambda: _running(settings, application, source_environment),
        requested_by=requested_by or _NOBODY,
        workflow=workflow_token(workflow_name, workflow_uid),
        source_verification=json.loads(verification) if verification else None,
        gate=registered_gate(settings, mlflow_ip, application, model_version),
        stands_on=lambda proof: standing(settings, proof, target_environment, judge, judge_without),
    )
    _say(result, f"promoted from {source_environment} to")
    return result.commit


@workflow_step
def commit_rollback(
    application: str,
    environment: str,
    reason: str,
    quarantine: str,
    requested_by: str,
    workflow_name: str,
    workflow_uid: str,
) -> Annotated[str, Output("commit")]:
    """Restore the release before by one commit."""
    settings = StepSettings()
    result = rollback(
        repository(settings),
        application,
        environment,
        reason=reason or "rolled back by hand",
        requested_by=requested_by or _NOBODY,
        workflow=workflow_token(workflow_name, workflow_uid),
        shut_out=quarantine == "true",
    )
    _say(result, "restored in")
    if result.warning:
        say(f"warning: {result.warning} It is verified next.")
    return result.commit


def registry(settings: StepSettings, mlflow_ip: str) -> MlflowClient:
    """MLflow at the address that a template was given, or at the platform's own."""
    url = service_url(mlflow_ip, settings.mlflow_url, 8000)
    return MlflowClient(url, patience_seconds=settings.mlflow_patience_seconds)


def registered_gate(settings: StepSettings, mlflow_ip: str, application: str, model_version: str) -> Gate:
    """The verdict on a version as the registry has it now.

    Raises:
        NotFound: the registry has no such version.
        Refused: the version never passed a gate.
    """
    with registry(settings, mlflow_ip) as mlflow:
        version = mlflow.version(application, model_version)
        run = mlflow.run(str(version["run_id"]))
        verdict: dict[str, Any] = json.loads(
            mlflow.download(run, "evaluation/gate.json", max_bytes=_MAX_GATE_BYTES)
        )
    if verdict.get("decision") != "accepted":
        raise Refused(f"version {model_version} of {application} did not pass its gate")
    return Gate.from_report(verdict)


def main_metric(verdict: dict[str, Any]) -> Metric:
    """The number that people compare versions by: the one that the policy holds against production, or macro F1.

    Args:
        verdict: the content of gate.json.

    Raises:
        Refused: the evaluation did not measure it.
    """
    rule = verdict.get("policy", {}).get("no_worse") or {}
    name = str(rule.get("metric", "macro_f1"))
    value = verdict.get("metrics", {}).get(name)
    if not isinstance(value, (int, float)):
        raise Refused("the evaluation did not measure the metric that versions are compared by", value=name)
    return Metric(name=name, value=float(value))


def verification_tag(environment: str) -> str:
    """The tag of a version that keeps how it was verified in an environment."""
    return f"rookery.verified.{environment}"


def _running(settings: StepSettings, application: str, environment: str) -> RunningModel:
    return fetch_running(environment_url(settings, facts_of(settings, application), environment))


def _say(result: ReleaseResult, verb: str) -> None:
    again = " (it was already there)" if result.already_done else ""
    say(
        f"version {result.model_version} of {result.application} is {verb} {result.environment} "
        f"by commit {result.commit[:12]}{again}"
    )
