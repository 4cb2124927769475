"""`deliver-release`: from a commit to a verified environment, or back.

Its step `deliver` is the last one of the templates that commit a release. A release that the environment does not run
in time, or whose answers to the golden inputs differ, is withdrawn by a commit and its image quarantined.
"""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate

from workflows.parameters import APPLICATION, MLFLOW_IP
from workflows.steps import delivery
from workflows.templating import add_conclusion, own, step, telling, workflow_template

NAME = "deliver-release"
STEP = "deliver"
PARAMETERS = [
    APPLICATION,
    Parameter(name="environment", description="staging, canary or production."),
    Parameter(name="commit", description="The commit that released; it is in the environment's history."),
    Parameter(
        name="on-failure",
        value="withdraw",
        enum=["withdraw", "keep"],
        description="withdraw: revert by a commit and quarantine the image. keep: only fail.",
    ),
    MLFLOW_IP,
]


def deliver_release() -> WorkflowTemplate:
    """The WorkflowTemplate; its step is called by reference, and it can be submitted alone."""
    template = workflow_template(
        NAME,
        PARAMETERS,
        description="Wait until an environment runs a release, verify it, confirm or withdraw it.",
        deadline_seconds=7200,
    )
    with template:
        deliver = step(
            STEP,
            delivery.deliver_release,
            deadline_seconds=3600,
            retries=10,
            git=True,
            watches=True,
            tokens=("notices",),
        )
        with Steps(name="main", inputs=[Parameter(name=item.name) for item in PARAMETERS]):
            Step(
                name=STEP,
                template=deliver,
                arguments={
                    **own("application", "environment", "commit", "on-failure", "mlflow-ip"),
                    **telling(NAME),
                },
            )
        add_conclusion(NAME, success_is_told=True)
    return template
