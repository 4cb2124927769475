"""`deliver-release`: from a commit to a verified environment, or back.

Used by the three templates that commit a release. A release that the environment does not run in time, or whose
answers to the golden inputs differ, is withdrawn by a commit and its image quarantined.
"""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate

from workflows.parameters import APPLICATION, MLFLOW_IP
from workflows.steps import delivery
from workflows.templating import (
    WORKFLOW_IDENTITY,
    add_conclusion,
    output,
    own,
    step,
    workflow_template,
)

NAME = "deliver-release"
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
_RELEASE = ("application", "environment", "commit")


def deliver_release() -> WorkflowTemplate:
    """The WorkflowTemplate; its `main` is called by reference, and it can be submitted alone."""
    template = workflow_template(
        NAME,
        PARAMETERS,
        description="Wait until an environment runs a release, verify it, confirm or withdraw it.",
        deadline_seconds=3600,
    )
    with template:
        wait = step("wait-for-environment", delivery.wait_for_environment, deadline_seconds=1200)
        verify = step("verify-release", delivery.verify_release, deadline_seconds=600)
        confirm = step("confirm-release", delivery.confirm_release, deadline_seconds=300, retries=5)
        withdraw = step("withdraw-release", delivery.withdraw_release, deadline_seconds=900, retries=5)
        with Steps(name="main", inputs=[Parameter(name=item.name) for item in PARAMETERS]) as main:
            Step(name="wait", template=wait, arguments=own(*_RELEASE))
            running = {"running": output("wait", "verdict"), "running-reason": output("wait", "reason")}
            Step(name="verify", template=verify, arguments={**own(*_RELEASE), **running})
            verdict = output("verify", "verdict")
            with main.parallel():
                Step(
                    name="confirm",
                    template=confirm,
                    when=f"{verdict} == passed",
                    arguments={**own(*_RELEASE, "mlflow-ip"), "p95-ms": output("verify", "p95-ms")},
                )
                Step(
                    name="withdraw",
                    template=withdraw,
                    when=f"{verdict} != passed",
                    arguments={
                        **own(*_RELEASE, "on-failure"),
                        "verdict": verdict,
                        "reason": output("verify", "reason"),
                        **WORKFLOW_IDENTITY,
                    },
                )
        add_conclusion(NAME)
    return template
