"""Ask the evaluate service for its verdict on a finished run."""

import time
from typing import Annotated

import httpx

from services.common.errors import Refused, Unavailable
from workflows.steps import news
from workflows.steps.http import call
from workflows.steps.outcome import Output, say, workflow_step
from workflows.steps.settings import StepSettings, service_url

_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 120.0
_FAILURES = 5


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
        Unavailable: the service does not answer, or began the evaluation anew again and again and failed each time.
    """
    settings = StepSettings()
    url = service_url(eval_ip, settings.evaluate_url, 8080)
    answer = _verdict(f"{url}/get-version", run_id)
    verdict = answer.json()
    report = f"{url}/reports/{run_id}"
    news.judged(verdict, run_id, report)
    if not verdict["new_model_version"]:
        reasons = [str(reason) for reason in verdict.get("reasons", [])]
        for reason in reasons:
            say(f"refused: {reason}")
        raise Refused(f"the gate refused run {run_id}: {'; '.join(reasons)}. Report: {report}")
    say(f"accepted as version {verdict['new_model_version']}. Report: {report}")
    return str(verdict["new_model_version"]), str(verdict["bundle_digest"])


def _verdict(url: str, run_id: str) -> httpx.Response:
    at_work = False
    failures = 0
    said = ""

    def tell(text: str) -> None:
        nonlocal said
        if text != said:
            say(text)
            said = text

    def trouble(text: str) -> None:
        nonlocal at_work, failures
        failures += at_work
        at_work = False
        tell(" ".join(text.split()))
        if failures >= _FAILURES:
            raise Unavailable(
                f"the evaluation of run {run_id} failed {failures} times, the last time with {said}"
            )

    while True:
        answer = call("GET", url, params={"run_id": run_id}, patience_seconds=_PATIENCE_SECONDS, told=trouble)
        if answer.status_code != httpx.codes.ACCEPTED:
            return answer
        at_work = True
        tell(f"the evaluation is at work: {answer.json().get('phase', 'waiting')}")
        time.sleep(_POLL_SECONDS)
