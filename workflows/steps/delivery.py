"""From a commit to a verified environment: wait, verify, then confirm or withdraw."""

import json
import time
from datetime import UTC, datetime
from typing import Annotated

from hera.workflows import Parameter

from services.bundle.reader import Bundle
from services.common.digest import short
from services.common.errors import IntegrityError, InvalidInput, NotFound, Refused, Unavailable
from workflows.release.evidence import Evidence, released
from workflows.release.rollback import revert
from workflows.release.running import fetch_running
from workflows.release.verify import verify_golden
from workflows.steps.outcome import say, workflow_step
from workflows.steps.places import environment_url, facts_of, images, repository, workflow_token
from workflows.steps.releasing import registry, verification_tag
from workflows.steps.settings import StepSettings

PASSED, FAILED, SUPERSEDED = "passed", "failed", "superseded"
_POLL_SECONDS = 0.2
_LOOK_AT_GIT_EVERY = 25


@workflow_step
def wait_for_environment(
    application: str, environment: str, commit: str
) -> tuple[Annotated[str, Parameter(name="verdict")], Annotated[str, Parameter(name="reason")]]:
    """Wait until the server reports the digests that the commit names as what it has in memory.

    Returns:
        verdict and reason: passed; failed when it does not in the time that the settings allow; superseded when
        another release took its place meanwhile.
    """
    settings = StepSettings()
    wanted = released_by(settings, application, environment, commit)
    return wait_until_running(settings, wanted)


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
    settings = StepSettings()
    wanted = released_by(settings, application, environment, commit)
    url = environment_url(settings, facts_of(settings, application), environment)
    try:
        bundle = bundle_of(settings, wanted)
    except (IntegrityError, InvalidInput, NotFound) as error:
        reason = f"the bundle in the released image cannot be used: {error}"
        say(f"verification failed: {reason}")
        return FAILED, reason, ""
    result = verify_golden(url, bundle)
    p95 = f"{result.p95_ms:.2f}"
    if not result.passed:
        # The answers of a release that came meanwhile say nothing against this one.
        if not is_current(settings, wanted):
            return SUPERSEDED, _replaced(wanted), p95
        reason = "; ".join(result.reasons)
        say(f"verification failed: {reason}")
        return FAILED, reason, p95
    say(f"{result.items} golden inputs answered as expected, p95 {p95} ms")
    return PASSED, "", p95


@workflow_step
def confirm_release(
    application: str,
    environment: str,
    commit: str,
    mlflow_ip: Annotated[str, Parameter(name="mlflow-ip")],
    p95_ms: Annotated[str, Parameter(name="p95-ms")],
) -> None:
    """Keep how the version was verified, and point the registry's alias to it while git still has it there."""
    settings = StepSettings()
    wanted = released_by(settings, application, environment, commit)
    bundle = bundle_of(settings, wanted)
    record = {
        "passed": True,
        "items": len(bundle.golden.inputs),
        "p95_ms": float(p95_ms),
        "commit": commit,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    with registry(settings, mlflow_ip) as mlflow:
        mlflow.set_version_tag(
            application, wanted.model_version, verification_tag(environment), json.dumps(record)
        )
        if not is_current(settings, wanted):
            say(f"{_replaced(wanted)}; the alias is left to that one")
            return
        mlflow.set_alias(application, environment, wanted.model_version)
    say(f"{environment} of {application} is version {wanted.model_version}")


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
    settings = StepSettings()
    bad = released_by(settings, application, environment, commit)
    what = f"version {bad.model_version} of {application} in {environment}"
    if verdict == SUPERSEDED:
        raise Refused(f"{what} was superseded: {reason}")
    if on_failure == "keep":
        raise Refused(f"{what} failed its verification and stays, as was asked: {reason}")
    result = revert(
        repository(settings),
        application,
        environment,
        image_digest=bad.image_digest,
        reason=reason,
        requested_by="verification",
        workflow=workflow_token(workflow_name, workflow_uid),
    )
    say(f"commit {result.commit[:12]} reverts {what}; image {short(bad.image_digest)} is in quarantine")
    raise Refused(f"{what} failed its verification and was withdrawn ({reason}); {_aftermath(settings, bad)}")


def released_by(settings: StepSettings, application: str, environment: str, commit: str) -> Evidence:
    """The evidence that a commit carries.

    Raises:
        Refused: the commit releases nothing to this environment.
    """
    found = released(repository(settings).tree(commit), application, environment)
    if found is None:
        raise Refused(f"commit {commit[:12]} releases nothing to {application} {environment}")
    return found.evidence


def wait_until_running(settings: StepSettings, wanted: Evidence) -> tuple[str, str]:
    """Verdict and reason, after at most `delivery_seconds`."""
    url = environment_url(settings, facts_of(settings, wanted.application), wanted.environment)
    place = f"{wanted.application} {wanted.environment}"
    deadline = time.monotonic() + settings.delivery_seconds
    seen = ""
    tries = 0
    while time.monotonic() < deadline:
        try:
            running = fetch_running(url)
        except Unavailable as error:
            state = error.message
        else:
            if (running.image_digest, running.bundle_digest) == (wanted.image_digest, wanted.bundle_digest):
                say(f"{place} has version {wanted.model_version} in memory")
                return PASSED, ""
            state = f"it runs image {short(running.image_digest)}"
        if state != seen:
            say(f"waiting for {place}: {state}")
            seen = state
        tries += 1
        if tries % _LOOK_AT_GIT_EVERY == 0 and not is_current(settings, wanted):
            return SUPERSEDED, _replaced(wanted)
        time.sleep(_POLL_SECONDS)
    if not is_current(settings, wanted):
        return SUPERSEDED, _replaced(wanted)
    reason = (
        f"{place} did not run image {short(wanted.image_digest)} within {settings.delivery_seconds:.0f} s"
    )
    return FAILED, f"{reason}: {seen}"


def is_current(settings: StepSettings, wanted: Evidence) -> bool:
    """Whether the tip still releases this image to the environment."""
    now = released(repository(settings).tree(), wanted.application, wanted.environment)
    return now is not None and now.image_digest == wanted.image_digest


def bundle_of(settings: StepSettings, wanted: Evidence) -> Bundle:
    """The bundle in the released image, checked against the digests that the evidence names."""
    return images(settings).bundle(wanted.application, wanted.image_digest, wanted.bundle_digest)


def _replaced(wanted: Evidence) -> str:
    return f"{wanted.application} {wanted.environment} was given another release meanwhile"


def _aftermath(settings: StepSettings, bad: Evidence) -> str:
    now = released(repository(settings).tree(), bad.application, bad.environment)
    if now is None:
        return "nothing ran there before"
    verdict, reason = wait_until_running(settings, now.evidence)
    version = now.evidence.model_version
    return (
        f"version {version} serves again" if verdict == PASSED else f"version {version} is not back: {reason}"
    )
