"""Look at every application: have its data, its code or what it is asked changed? The arbiter is told."""

from __future__ import annotations

from typing import Any

import httpx

from services.common.errors import RookeryError, Unavailable
from services.common.trust import trust_for
from workflows.release.application import list_applications, load_application
from workflows.steps.http import bearer, message_of
from workflows.steps.outcome import say, workflow_step
from workflows.steps.places import repository
from workflows.steps.settings import StepSettings

_SECONDS = 60.0


@workflow_step
def watch_applications(application: str, schedule: str) -> None:
    """Ask the arbiter to compare data and code with those seen last, and the monitor for drift in production.

    Args:
        application: only this one; empty for all.
        schedule: `true`: it is also time to train again, whatever has changed; the arbiter decides.

    Raises:
        Unavailable: not one application could be looked at.
    """
    settings = StepSettings()
    if not settings.arbiter_url:
        say("there is no arbiter here, so nobody would decide")
        return
    tree = repository(settings).tree()
    names = [application] if application else list_applications(tree)
    problems = []
    for name in names:
        try:
            facts = load_application(tree, name)
            say(f"{name}: {_look(settings, name, facts.environments[-1], schedule == 'true')}")
        except RookeryError as error:
            problems.append(f"{name}: {error.message}")
            say(f"{name}: {error}")
    if names and len(problems) == len(names):
        raise Unavailable(f"nothing could be looked at: {'; '.join(problems)}")


def _look(settings: StepSettings, name: str, environment: str, due: bool) -> str:
    made = _arbiter(settings, "/look", params={"application": name})["events"]
    found = [f"{len(made)} changes of data or code"] if made else ["data and code are as before"]
    if due:
        _event(settings, "schedule", name, "", {})
        found.append("it is time to train again")
    found.append(_drift(settings, name, environment))
    return ", ".join(found)


def _drift(settings: StepSettings, name: str, environment: str) -> str:
    if not settings.monitor_url:
        return "nobody watches for drift"
    query = {"application": name, "environment": environment}
    try:
        url = f"{settings.monitor_url.rstrip('/')}/drift"
        window = _ask("GET", url, params=query, headers=bearer(settings.monitor_token))
    except RookeryError as error:
        return f"drift is not known: {error.message}"
    if window["state"] != "drift":
        return f"{environment} is {window['state']}" if window["state"] == "steady" else str(window["state"])
    drifting = ", ".join(map(str, window.get("drifting") or []))
    subject = f"{environment} version {window.get('version') or '?'}"
    _event(settings, "drift", name, subject, {"environment": environment, "drifting": drifting})
    return f"{environment} drifts: {drifting}"


def _event(settings: StepSettings, kind: str, name: str, subject: str, detail: dict[str, Any]) -> None:
    body = {
        "kind": kind,
        "application": name,
        "subject": subject,
        "detail": detail,
        "by": "watch-applications",
    }
    _arbiter(settings, "/events", json=body)


def _arbiter(settings: StepSettings, path: str, **more: Any) -> dict[str, Any]:
    url = f"{settings.arbiter_url.rstrip('/')}{path}"
    return _ask("POST", url, headers=bearer(settings.arbiter_token), **more)


def _ask(method: str, url: str, **more: Any) -> dict[str, Any]:
    """One answer; no second try, since the next look is not far."""
    try:
        answer = httpx.request(method, url, timeout=_SECONDS, verify=trust_for(url), **more)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} does not answer: {error}") from error
    if not answer.is_success:
        raise Unavailable(f"{url} answered {answer.status_code}: {message_of(answer)}")
    try:
        return dict(answer.json())
    except (ValueError, TypeError) as error:
        raise Unavailable(f"{url} answered what is no JSON object") from error
