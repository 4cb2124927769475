"""From a commit to a verified environment: wait, verify, then confirm or withdraw; and the care for loose ends."""

from typing import Annotated

from hera.workflows import Parameter

from workflows.release.component import release_folder
from workflows.release.history import steps as past_of
from workflows.steps.care import PASSED, Delivery
from workflows.steps.outcome import say, workflow_step
from workflows.steps.places import repository, workflow_token
from workflows.steps.settings import StepSettings


@workflow_step
def wait_for_environment(
    application: str, environment: str, commit: str
) -> tuple[Annotated[str, Parameter(name="verdict")], Annotated[str, Parameter(name="reason")]]:
    """Wait until the server reports the digests that the commit names as what it has in memory.

    Returns:
        verdict and reason: passed; failed when it does not in the time that the settings allow; superseded when
        another release took its place meanwhile.
    """
    return Delivery(StepSettings(), application, environment, commit).wait()


@workflow_step
def verify_release(
    application: str,
    environment: str,
    commit: str,
    running: str,
    running_reason: Annotated[str, Parameter(name="running-reason")],
) -> tuple[
    Annotated[str, Parameter(name="verdict")],
    Annotated[str, Parameter(name="reason")],
    Annotated[str, Parameter(name="p95-ms")],
]:
    """Send the golden inputs of the released bundle through HTTP and compare the answers.

    Args:
        running: the verdict of the wait; anything but passed is passed on.
    """
    if running != PASSED:
        return running, running_reason, ""
    return Delivery(StepSettings(), application, environment, commit).verify()


@workflow_step
def confirm_release(
    application: str,
    environment: str,
    commit: str,
    mlflow_ip: Annotated[str, Parameter(name="mlflow-ip")],
    p95_ms: Annotated[str, Parameter(name="p95-ms")],
) -> None:
    """Keep how the version was verified, and point the registry's alias to it while git still has it there."""
    Delivery(StepSettings(), application, environment, commit).confirm(mlflow_ip, p95_ms)


@workflow_step
def withdraw_release(
    application: str,
    environment: str,
    commit: str,
    on_failure: Annotated[str, Parameter(name="on-failure")],
    verdict: str,
    reason: str,
    workflow_name: Annotated[str, Parameter(name="workflow-name")],
    workflow_uid: Annotated[str, Parameter(name="workflow-uid")],
) -> None:
    """Revert the commit by a commit, quarantine the image, wait for the former version, and end as refused.

    Raises:
        Refused: always; the release did not hold.
    """
    delivery = Delivery(StepSettings(), application, environment, commit)
    token = workflow_token(workflow_name, workflow_uid)
    delivery.withdraw(verdict, reason, keep=on_failure == "keep", workflow=token)


@workflow_step
def settle_release(
    application: str,
    environment: str,
    on_failure: Annotated[str, Parameter(name="on-failure")],
    mlflow_ip: Annotated[str, Parameter(name="mlflow-ip")],
    workflow_name: Annotated[str, Parameter(name="workflow-name")],
    workflow_uid: Annotated[str, Parameter(name="workflow-uid")],
) -> None:
    """After a workflow that did not succeed: leave no release of its in git that nobody verified.

    A workflow that was cancelled, ran out of time or lost a step after its commit is finished here: the release is
    verified and confirmed, or withdrawn.

    Raises:
        Refused: the release did not hold and was withdrawn.
    """
    settings = StepSettings()
    token = workflow_token(workflow_name, workflow_uid)
    tree = repository(settings).tree()
    folder = release_folder(application, environment)
    past = past_of(tree.git, tree.revision, folder, application, environment)
    if not past or past[0].trailers.get("Workflow") != token or past[0].action == "revert":
        say(f"nothing of {workflow_name} is left to settle in {application} {environment}")
        return
    delivery = Delivery(settings, application, environment, past[0].commit)
    if delivery.is_confirmed(mlflow_ip):
        say(f"{delivery.what} was verified already")
        return
    say(f"{delivery.what} was committed but never verified: verifying it now")
    verdict, reason = delivery.wait()
    p95 = ""
    if verdict == PASSED:
        verdict, reason, p95 = delivery.verify()
    if verdict == PASSED:
        delivery.confirm(mlflow_ip, p95)
    else:
        delivery.withdraw(verdict, reason, keep=on_failure == "keep", workflow=token)
