"""`promote-model`: the same image from one environment to the next, by one commit."""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, Suspend, WorkflowTemplate

from workflows import deliver_release
from workflows.parameters import APPLICATION, MLFLOW_IP, MODEL_VERSION, REQUESTED_BY
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

NAME = "promote-model"
PARAMETERS = [
    Parameter(name="source-environment", description="Where the version runs now: staging or canary."),
    Parameter(name="target-environment", description="Where it shall run: canary or production."),
    MODEL_VERSION,
    APPLICATION,
    Parameter(
        name="approval",
        value="none",
        enum=["none", "required"],
        description="required: wait before the commit until somebody approves, with `rookery approve`.",
    ),
    Parameter(
        name="judge",
        value="off",
        enum=["off", "required"],
        description="required: refuse unless the monitor's judge of canaries says `promote` of what the source has "
        "answered with the version. off: golden inputs alone; the evidence says so.",
    ),
    Parameter(
        name="judge-without",
        value="",
        description="Questions of the judge that do not count, such as disagreement for a model that shall differ.",
    ),
    MLFLOW_IP,
    REQUESTED_BY,
]
_PROMOTION = (
    "application",
    "source-environment",
    "target-environment",
    "model-version",
    "judge",
    "judge-without",
    "mlflow-ip",
)


def promote_model() -> WorkflowTemplate:
    """The WorkflowTemplate."""
    template = workflow_template(
        NAME,
        PARAMETERS,
        description="Promote the version that an environment runs to the next environment, and verify it there.",
        deadline_seconds=7 * 24 * 3600,
    )
    with template:
        check = step(
            "check-promotion",
            releasing.check_promotion,
            deadline_seconds=300,
            git=True,
            tokens=("monitor",),
        )
        approve = Suspend(name="await-approval")
        commit = step(
            "commit-promotion",
            releasing.commit_promotion,
            deadline_seconds=600,
            retries=5,
            git=True,
            tokens=("monitor",),
        )
        asked = "{{workflow.parameters.approval}} == required"
        with Steps(name="main"):
            # The commit makes the same checks; nobody is asked to approve what they would refuse.
            Step(name="check", template=check, when=asked, arguments=whole(*_PROMOTION))
            Step(name="approve", template=approve, when=asked)
            Step(
                name="commit",
                template=commit,
                arguments={**whole(*_PROMOTION, "requested-by"), **WORKFLOW_IDENTITY},
            )
            Step(
                name="deliver",
                template_ref=reference(deliver_release.NAME, deliver_release.STEP),
                arguments={
                    **whole("application", "mlflow-ip"),
                    "environment": "{{workflow.parameters.target-environment}}",
                    "commit": output("commit", "commit"),
                    "on-failure": "withdraw",
                    **telling(NAME),
                },
            )
        add_conclusion(
            NAME, settling("{{workflow.parameters.target-environment}}", "withdraw"), success_is_told=True
        )
    return template
