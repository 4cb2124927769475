"""When the serving code has changed: put the models that run on the new base, and release them to staging."""

import json
from typing import Annotated

from services.common.digest import short
from services.common.errors import Refused, RookeryError
from workflows.release.application import list_applications
from workflows.release.base import ServingBase
from workflows.release.evidence import timestamp
from workflows.release.images import open_base
from workflows.release.names import one_line
from workflows.release.recode import ALL, candidate, moves, recoded
from workflows.release.release import release
from workflows.steps.delivery import settle
from workflows.steps.outcome import Output, say, workflow_step
from workflows.steps.places import facts_of, images, repository, workflow_token
from workflows.steps.releasing import registered_gate
from workflows.steps.settings import StepSettings

_NOBODY = "unnamed user"


@workflow_step
def find_outdated(
    application: str, base: str
) -> tuple[Annotated[str, Output("applications")], Annotated[str, Output("base")]]:
    """The applications whose newest released model is on another serving base, as a JSON list, and the base by digest.

    Args:
        application: its name, or all.
        base: reference of an image, or a checkout's folder; empty for the platform's own.

    Raises:
        Refused: every one of them is on this base already, or has nothing released.
    """
    settings = StepSettings()
    wanted = _base(settings, base)
    found = moves(repository(settings).tree(), application, wanted, images(settings).check)
    for move in found:
        say(f"version {move.evidence.model_version} of {move.application} goes on {_name(wanted)}")
    named = f"{wanted.scheme}://{wanted.name}" if wanted.name else base or settings.serving_base
    return json.dumps([move.application for move in found]), named


@workflow_step
def release_on_base(
    application: str,
    base: str,
    mlflow_ip: str,
    requested_by: str,
    workflow_name: str,
    workflow_uid: str,
) -> tuple[
    Annotated[str, Output("environment")],
    Annotated[str, Output("commit")],
]:
    """Publish the image with the same bundle on the new base, and commit it to the application's first environment.

    Raises:
        Refused: nothing is released, the version's verdict was taken back, or it is on this base already.
    """
    settings = StepSettings()
    wanted = _base(settings, base)
    gitops = repository(settings)
    move = candidate(gitops.tree(), application)
    if move is None:
        raise Refused(f"{application} has no released model any more")
    evidence = recoded(
        images(settings),
        move,
        wanted,
        requested_by=one_line(requested_by or _NOBODY, 200),
        workflow=workflow_token(workflow_name, workflow_uid),
        released_at=timestamp(),
    )
    gate = registered_gate(settings, mlflow_ip, application, evidence.model_version)
    result = release(gitops, evidence.model_copy(update={"gate": gate}))
    again = " (it was already there)" if result.already_done else ""
    say(
        f"version {result.model_version} of {application} on {_name(wanted)} is released to "
        f"{result.environment} by commit {result.commit[:12]}{again}"
    )
    return result.environment, result.commit


@workflow_step
def settle_code(
    application: str,
    mlflow_ip: str,
    workflow_name: str,
    workflow_uid: str,
) -> None:
    """After a workflow that did not succeed: verify or withdraw what it released to any application.

    Raises:
        Refused: a release did not hold and was withdrawn; all others have been seen to as well.
    """
    settings = StepSettings()
    names = list_applications(repository(settings).tree()) if application == ALL else [application]
    token = workflow_token(workflow_name, workflow_uid)
    problems = []
    for name in names:
        first = facts_of(settings, name).environments[0]
        try:
            settle(settings, name, first, "withdraw", mlflow_ip, token)
        except RookeryError as error:
            say(f"{name}: {error}")
            problems.append(error)
    if problems:
        raise problems[0]


def _base(settings: StepSettings, given: str) -> ServingBase:
    return open_base(given or settings.serving_base, settings.images)


def _name(base: ServingBase) -> str:
    return f"serving base {short(base.identity)}"
