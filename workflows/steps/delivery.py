"""From a commit to a verified environment, in one step that can be repeated; and the care for loose ends."""

from services.common.errors import Unavailable
from workflows.release.component import release_folder
from workflows.release.history import SHARE
from workflows.release.history import steps as past_of
from workflows.steps.care import Delivery
from workflows.steps.conclusion import tell
from workflows.steps.outcome import say, workflow_step
from workflows.steps.places import repository, workflow_token
from workflows.steps.settings import StepSettings


@workflow_step
def deliver_release(
    application: str,
    environment: str,
    commit: str,
    on_failure: str,
    mlflow_ip: str,
    template: str,
    parameters: str,
    workflow_name: str,
    workflow_uid: str,
) -> None:
    """Wait until the environment runs what the commit releases, verify it by HTTP, then confirm or withdraw it.

    Args:
        commit: it may be any commit in which the environment has the release.
        on_failure: keep leaves a release that did not hold where it is; withdraw reverts it by a commit.
        template: the WorkflowTemplate whose success this step records and tells as its last; empty for none.
        parameters: the workflow's parameters as Argo's JSON list.

    Raises:
        Refused: the release did not hold.
    """
    settings = StepSettings()
    token = workflow_token(workflow_name, workflow_uid)
    delivery = Delivery(settings, application, environment, commit)
    delivery.see_through(mlflow_ip, keep=on_failure == "keep", workflow=token)
    if template:
        try:
            tell(settings, template, workflow_name, workflow_uid, "Succeeded", [], parameters)
        except Unavailable as error:
            raise Unavailable(
                f"{delivery.what} runs, is verified and has its alias; outstanding is the record of this workflow in "
                f"MLflow: {error.message}"
            ) from error


@workflow_step
def settle_release(
    application: str,
    environment: str,
    on_failure: str,
    mlflow_ip: str,
    workflow_name: str,
    workflow_uid: str,
) -> None:
    """After a workflow that did not succeed: leave no release of its in git that nobody verified.

    A workflow that was cancelled, ran out of time or lost a step after its commit is finished here: the release is
    verified and confirmed, or withdrawn.

    Raises:
        Refused: the release did not hold and was withdrawn.
    """
    token = workflow_token(workflow_name, workflow_uid)
    settle(StepSettings(), application, environment, on_failure, mlflow_ip, token)


def settle(
    settings: StepSettings, application: str, environment: str, on_failure: str, mlflow_ip: str, token: str
) -> None:
    """See through what the workflow `token` released to one environment; see `settle_release`."""
    tree = repository(settings).tree()
    folder = release_folder(application, environment)
    every = past_of(tree.git, tree.revision, folder, application, environment)
    past = [step for step in every if step.action != SHARE]
    if not past or past[0].trailers.get("Workflow") != token or past[0].action == "revert":
        say(f"nothing of {token} is left to settle in {application} {environment}")
        return
    delivery = Delivery(settings, application, environment, past[0].commit)
    if delivery.is_confirmed(mlflow_ip):
        say(f"{delivery.what} was verified already")
        return
    say(f"{delivery.what} was committed but never verified: verifying it now")
    delivery.see_through(mlflow_ip, keep=on_failure == "keep", workflow=token)
