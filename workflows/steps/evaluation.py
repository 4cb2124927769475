"""Ask the evaluate service for its verdict on a finished run."""

import time
from typing import Annotated

import httpx

from services.common.errors import Refused
from workflows.steps.http import call
from workflows.steps.outcome import Output, say, workflow_step
from workflows.steps.settings import StepSettings, service_url

_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 120.0


@workflow_step
def evaluate(
    run_id: str,
    eval_ip: str,
) -> tuple[
    Annotated[str, Output("new-model-version")],
    Annotated[str, Output("bundle-digest")],
]:
    """Wait for the verdict; an accepted model has a version in the registry from here on.

    Raises:
        Refused: the gate said no; its reasons are printed and kept.
    """
    settings = StepSettings()
    url = service_url(eval_ip, settings.evaluate_url, 8080)
    while True:
        answer = call(
            "GET", f"{url}/get-version", params={"run_id": run_id}, patience_seconds=_PATIENCE_SECONDS
        )
        if answer.status_code != httpx.codes.ACCEPTED:
            break
        time.sleep(_POLL_SECONDS)
    verdict = answer.json()
    report = f"{url}/reports/{run_id}"
    if not verdict["new_model_version"]:
        reasons = [str(reason) for reason in verdict.get("reasons", [])]
        for reason in reasons:
            say(f"refused: {reason}")
        raise Refused(f"the gate refused run {run_id}: {'; '.join(reasons)}. Report: {report}")
    say(f"accepted as version {verdict['new_model_version']}. Report: {report}")
    return str(verdict["new_model_version"]), str(verdict["bundle_digest"])
