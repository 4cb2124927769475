"""What a promotion stands on: the golden inputs alone, or also the monitor's judge of what the canary answered."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.common.errors import InvalidInput, Refused
from workflows.release.evidence import Evidence
from workflows.steps.http import bearer, call
from workflows.steps.outcome import say
from workflows.steps.settings import StepSettings

OFF, REQUIRED = "off", "required"
GOLDEN_ALONE: dict[str, Any] = {"kind": "golden inputs alone"}
_LONGEST = timedelta(days=30)
_PATIENCE_SECONDS = 60.0
_KEPT = (
    *("verdict", "reasons", "canary", "production", "requests", "copies", "same_inputs", "questions"),
    *("from", "to"),
)


def standing(
    settings: StepSettings, proof: Evidence, target: str, judge: str, without: str
) -> dict[str, Any]:
    """What the promotion of a release to `target` stands on, for its evidence.

    Args:
        proof: of the release in the environment that is judged; the window begins when it was released.
        judge: `required` or `off`; the latter asks nobody and says so.
        without: questions that do not count, joined by commas.

    Raises:
        Refused: there is no monitor, or its judge does not say `promote`; its reasons are kept. No traffic is no
            reason to promote.
        Unavailable: the monitor does not answer.
        InvalidInput: a question that nobody asks, or that cannot be left out.
    """
    if judge == OFF:
        say(f"the promotion to {target} stands on golden inputs alone; nobody asked the judge of canaries")
        return GOLDEN_ALONE
    if judge != REQUIRED:
        raise InvalidInput("this is no way to judge", value=judge, allowed=f"{OFF}, {REQUIRED}")
    if not settings.monitor_url:
        raise Refused(
            "the judge's verdict is required and there is no monitor", allowed="ROOKERY_MONITOR_URL"
        )
    now = datetime.now(UTC)
    begin = max(datetime.fromisoformat(proof.released_at.replace("Z", "+00:00")), now - _LONGEST)
    answer = call(
        "GET",
        f"{settings.monitor_url.rstrip('/')}/judge",
        params={
            "application": proof.application,
            "canary": proof.environment,
            "production": target,
            "version": proof.model_version,
            "from": begin.isoformat(),
            "to": now.isoformat(),
            "without": without,
        },
        headers=bearer(settings.monitor_token),
        patience_seconds=_PATIENCE_SECONDS,
    )
    found: dict[str, Any] = answer.json()
    verdict, reasons = str(found["verdict"]), "; ".join(map(str, found["reasons"]))
    requests = found["requests"]
    seen = f"{requests['canary']} requests to {proof.environment}, {requests['production']} to {target}"
    if verdict != "promote":
        raise Refused(
            f"the judge says `{verdict}` of version {proof.model_version} of {proof.application} "
            f"in {proof.environment}: {reasons or 'no reason given'} ({seen})"
        )
    say(f"the judge says promote: {reasons} ({seen})")
    return {"kind": "judge", "without": without, **{name: found.get(name) for name in _KEPT}}
