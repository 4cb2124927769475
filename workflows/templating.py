"""What every template has in common: image, environment, security, retries, deadlines, the exit handler.

A step is a plain typed function of `workflows.steps`; the rendered container calls it by name inside the workflow
image, so no source code stands in YAML.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hera.workflows import Parameter, Script, Step, Steps, WorkflowTemplate
from hera.workflows.models import (
    Backoff,
    Capabilities,
    ConfigMapEnvSource,
    ContinueOn,
    EmptyDirVolumeSource,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ExecutorConfig,
    IntOrString,
    ResourceRequirements,
    RetryStrategy,
    SeccompProfile,
    SecretKeySelector,
    SecurityContext,
    TemplateRef,
    ValueFrom,
    Volume,
    VolumeMount,
)

from workflows.steps import conclusion, delivery
from workflows.steps.outcome import REFUSED_EXIT_CODE
from workflows.steps.run import interface

IMAGE = "rookery/workflow:0.1.0"
RUNNER = "workflows.steps.run"
CONFIG_MAP = "rookery"
SERVICE_ACCOUNT = "rookery-workflow"
# May read the Deployments and pods of the environments, and Argo CD's Applications.
DELIVERY_ACCOUNT = "rookery-deliver"
GIT_SECRET = "git-release"  # noqa: S105 its name
WORKFLOW_IDENTITY = {"workflow-name": "{{workflow.name}}", "workflow-uid": "{{workflow.uid}}"}
IDENTITY_LABELS = {"app.kubernetes.io/part-of": "rookery"}
_UNSUCCESSFUL = "{{workflow.status}} != Succeeded"
_SCRATCH = "/tmp"  # noqa: S108 the pod's own volume
_OUTPUTS = f"{_SCRATCH}/outputs"


def step(
    name: str,
    function: Callable[..., Any],
    *,
    deadline_seconds: int,
    retries: int = 3,
    git: bool = False,
    watches: bool = False,
    tokens: tuple[str, ...] = (),
) -> Script:
    """A template that runs one function of `workflows.steps`.

    Args:
        name: the template's name, as users see it in a run.
        function: a function of texts; its parameters are the inputs, its `Output`s the outputs.
        deadline_seconds: bound of one try.
        retries: how often a try that failed, or whose pod was lost, is repeated. A refusal, which exits with
            `REFUSED_EXIT_CODE`, is a result and never repeated.
        git: whether it reads or writes the repository, and so is given the user and password of it. A site whose
            remote asks nobody has no such Secret.
        watches: whether it watches the pods of an environment, and so has a token of its own for the Kubernetes API.
        tokens: services that it tells or asks something: `notices` (people), `arbiter`, `monitor`. What they want to
            be told is in the Secrets of these names; a site without such a service has none.
    """
    secrets = [(f"ROOKERY_GIT_{key.upper()}", GIT_SECRET, key) for key in ("username", "password") if git]
    secrets += [(f"ROOKERY_{name.upper()}_TOKEN", name, "token") for name in tokens]
    inputs, outputs = interface(function)
    return Script(
        name=name,
        source="{{inputs.parameters}}",
        command=["python"],
        args=["-m", RUNNER, f"{function.__module__}:{function.__name__}", _OUTPUTS],
        inputs=[Parameter(name=item) for item in inputs],
        outputs=[Parameter(name=item, value_from=ValueFrom(path=f"{_OUTPUTS}/{item}")) for item in outputs],
        image=IMAGE,
        image_pull_policy="IfNotPresent",
        env_from=[EnvFromSource(config_map_ref=ConfigMapEnvSource(name=CONFIG_MAP))],
        env=[_secret(*one) for one in secrets] or None,
        service_account_name=DELIVERY_ACCOUNT if watches else None,
        automount_service_account_token=True if watches else None,
        # Argo's own container in the pod keeps the account that may only write results.
        executor=ExecutorConfig(service_account_name=SERVICE_ACCOUNT) if watches else None,
        active_deadline_seconds=deadline_seconds,
        retry_strategy=RetryStrategy(
            limit=IntOrString(root=retries),
            retry_policy="Always",
            expression=f"asInt(lastRetry.exitCode) != {REFUSED_EXIT_CODE}",
            # No maxDuration: it counts from the start of the first try, so a step that works longer than it is
            # never repeated.
            backoff=Backoff(duration="2", factor=IntOrString(root=2), cap="60"),
        ),
        resources=ResourceRequirements(
            requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "512Mi"}
        ),
        security_context=SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            run_as_user=10001,
            capabilities=Capabilities(drop=["ALL"]),
            seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        ),
        volumes=[Volume(name="scratch", empty_dir=EmptyDirVolumeSource(size_limit="2Gi"))],
        volume_mounts=[VolumeMount(name="scratch", mount_path=_SCRATCH)],
    )


def _secret(variable: str, secret: str, key: str) -> EnvVar:
    reference = SecretKeySelector(name=secret, key=key, optional=True)
    return EnvVar(name=variable, value_from=EnvVarSource(secret_key_ref=reference))


def workflow_template(
    name: str, parameters: list[Parameter], *, description: str, deadline_seconds: int
) -> WorkflowTemplate:
    """A WorkflowTemplate with entrypoint `main` and the exit handler that records and tells the result.

    Open it with `with` and add the templates; every deadline is in seconds.
    """
    return WorkflowTemplate(
        name=name,
        entrypoint="main",
        on_exit="conclude",
        arguments=parameters,
        annotations={"workflows.argoproj.io/title": name, "workflows.argoproj.io/description": description},
        labels=dict(IDENTITY_LABELS),
        service_account_name=SERVICE_ACCOUNT,
        automount_service_account_token=False,
        executor=ExecutorConfig(service_account_name=SERVICE_ACCOUNT),
        active_deadline_seconds=deadline_seconds,
        parallelism=4,
    )


@dataclass(frozen=True)
class LooseEnd:
    """What the exit handler does when a workflow did not succeed."""

    name: str
    template: Script
    arguments: dict[str, str]


def settling(environment: str, on_failure: str) -> LooseEnd:
    """Verify or withdraw a release that the workflow committed and left unverified."""
    return LooseEnd(
        "settle",
        step(
            "settle-release",
            delivery.settle_release,
            deadline_seconds=1800,
            retries=5,
            git=True,
            watches=True,
            tokens=("notices",),
        ),
        {
            **whole("application", "mlflow-ip"),
            "environment": environment,
            "on-failure": on_failure,
            **WORKFLOW_IDENTITY,
        },
    )


def add_conclusion(template_name: str, *loose_ends: LooseEnd, success_is_told: bool = False) -> None:
    """Add the exit handler to the WorkflowTemplate that is open: tie up loose ends, then record and tell the result.

    Args:
        success_is_told: the last step records and tells a success itself, so the handler starts nothing then.
    """
    record = step("record-result", conclusion.conclude, deadline_seconds=120, retries=2, tokens=("notices",))
    with Steps(name="conclude"):
        for end in loose_ends:
            Step(
                name=end.name,
                template=end.template,
                when=_UNSUCCESSFUL,
                continue_on=ContinueOn(failed=True, error=True),
                arguments=end.arguments,
            )
        Step(
            name="record-result",
            template=record,
            when=_UNSUCCESSFUL if success_is_told else None,
            arguments={
                "template": template_name,
                "workflow-name": "{{workflow.name}}",
                "workflow-uid": "{{workflow.uid}}",
                "status": "{{workflow.status}}",
                "failures": "{{workflow.failures}}",
                "parameters": "{{workflow.parameters.json}}",
            },
        )


def own(*names: str) -> dict[str, str]:
    """Arguments that pass on the parameters of the template they stand in, under the same names."""
    return {name: f"{{{{inputs.parameters.{name}}}}}" for name in names}


def whole(*names: str) -> dict[str, str]:
    """Arguments that pass on the parameters of the workflow, under the same names."""
    return {name: f"{{{{workflow.parameters.{name}}}}}" for name in names}


def output(step_name: str, parameter: str) -> str:
    """The reference to an output of an earlier step."""
    return f"{{{{steps.{step_name}.outputs.parameters.{parameter}}}}}"


def telling(template_name: str) -> dict[str, str]:
    """Arguments of a delivery that is the last step of a WorkflowTemplate and tells its success."""
    return {"template": template_name, "parameters": "{{workflow.parameters.json}}", **WORKFLOW_IDENTITY}


def reference(workflow_template_name: str, template: str = "main") -> TemplateRef:
    """A template of another WorkflowTemplate."""
    return TemplateRef(name=workflow_template_name, template=template)
