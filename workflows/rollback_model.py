"""`rollback-model`: an environment goes back to the release before, by one commit."""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate

from workflows import deliver_release
from workflows.parameters import APPLICATION, MLFLOW_IP, REQUESTED_BY
from workflows.steps import releasing
from workflows.templating import (
    WORKFLOW_IDENTITY,
    add_conclusion,
    output,
    reference,
    settling,
    step,
    telling,
    whole,
    workflow_template,
)

NAME = "rollback-model"
PARAMETERS = [
    Parameter(name="environment", description="staging, canary or production."),
    APPLICATION,
    Parameter(name="reason", value="", description="Why; written into the commit and the quarantine."),
    Parameter(
        name="quarantine",
        value="true",
        enum=["true", "false"],
        description="Whether the image that is left must never be promoted again.",
    ),
    MLFLOW_IP,
    REQUESTED_BY,
]


def rollback_model() -> WorkflowTemplate:
    """The WorkflowTemplate."""
    template = workflow_template(
        NAME,
        PARAMETERS,
        description="Return an environment to its former good release, and verify that it serves it.",
        deadline_seconds=3600,
    )
    with template:
        rollback = step(
            "commit-rollback", releasing.commit_rollback, deadline_seconds=600, retries=5, git=True
        )
        with Steps(name="main"):
            Step(
                name="commit",
                template=rollback,
                arguments={
                    **whole("application", "environment", "reason", "quarantine", "requested-by"),
                    **WORKFLOW_IDENTITY,
                },
            )
            Step(
                name="deliver",
                template_ref=reference(deliver_release.NAME, deliver_release.STEP),
                arguments={
                    **whole("application", "mlflow-ip", "environment"),
                    "commit": output("commit", "commit"),
                    "on-failure": "keep",
                    **telling(NAME),
                },
            )
        add_conclusion(NAME, settling("{{workflow.parameters.environment}}", "keep"), success_is_told=True)
    return template
