"""`release-code`: the serving code has changed, so the models that run go on the new base and through staging again."""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate

from workflows import deliver_release
from workflows.parameters import MLFLOW_IP, REQUESTED_BY
from workflows.steps import coding
from workflows.templating import (
    WORKFLOW_IDENTITY,
    LooseEnd,
    add_conclusion,
    output,
    own,
    reference,
    step,
    whole,
    workflow_template,
)

NAME = "release-code"
PARAMETERS = [
    Parameter(
        name="application", value="all", description="A folder of k8s/apps, such as digits, or all of them."
    ),
    Parameter(
        name="base",
        value="",
        description="Serving base: an image reference, best by digest, or a folder. Empty: the platform's own.",
    ),
    MLFLOW_IP,
    REQUESTED_BY,
]


def release_code() -> WorkflowTemplate:
    """The WorkflowTemplate."""
    template = workflow_template(
        NAME,
        PARAMETERS,
        description="Put the models that run on a new serving base, release them to staging and verify them there.",
        deadline_seconds=4 * 3600,
    )
    with template:
        find = step("find-outdated", coding.find_outdated, deadline_seconds=600, git=True)
        commit = step("release-on-base", coding.release_on_base, deadline_seconds=1200, retries=5, git=True)
        with Steps(name="move", inputs=[Parameter(name="application"), Parameter(name="base")]):
            Step(
                name="release",
                template=commit,
                arguments={
                    **own("application", "base"),
                    **whole("mlflow-ip", "requested-by"),
                    **WORKFLOW_IDENTITY,
                },
            )
            Step(
                name="deliver",
                template_ref=reference(deliver_release.NAME, deliver_release.STEP),
                arguments={
                    **own("application"),
                    **whole("mlflow-ip"),
                    "environment": output("release", "environment"),
                    "commit": output("release", "commit"),
                    "on-failure": "withdraw",
                    # One of several ends here; the exit handler tells of the whole.
                    "template": "",
                    "parameters": "[]",
                    **WORKFLOW_IDENTITY,
                },
            )
        with Steps(name="main"):
            Step(name="find", template=find, arguments=whole("application", "base"))
            Step(
                name="move",
                template="move",
                with_param=output("find", "applications"),
                arguments={"application": "{{item}}", "base": output("find", "base")},
            )
        settle = LooseEnd(
            "settle",
            step(
                "settle-code",
                coding.settle_code,
                deadline_seconds=3600,
                retries=5,
                git=True,
                watches=True,
                tokens=("notices",),
            ),
            {**whole("application", "mlflow-ip"), **WORKFLOW_IDENTITY},
        )
        add_conclusion(NAME, settle)
    return template
