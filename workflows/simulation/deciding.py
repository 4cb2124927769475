"""The arbiter of the platform: told what happened, and asked what it made of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from services.common.errors import Unavailable
from services.common.trust import trust_for

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.2
# Of these waits nothing comes but by more time or another event.
_LASTING = ("cooldown", "budget", "repeated failures", "code")


@dataclass(frozen=True)
class Decision:
    """What the arbiter said.

    Attributes:
        verdict: retrain, wait or refuse; `not asked` where nothing was worth an event.
        workflow: that it submitted, for `retrain`.
    """

    verdict: str
    reason: str
    workflow: str = ""


class Arbiter:
    """The arbiter at `url`, about one application."""

    def __init__(self, url: str, application: str) -> None:
        self._application = application
        self._http = httpx.Client(base_url=url, timeout=10.0, trust_env=False, verify=trust_for(url))

    def tell(self, kind: str, subject: str, detail: dict[str, Any]) -> None:
        """Send an event.

        Raises:
            Unavailable: it was not taken.
        """
        body = {"kind": kind, "application": self._application, "subject": subject, "detail": detail}
        try:
            self._http.post("/events", json=body | {"by": "simulation"}).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"the arbiter does not take events: {error}") from error

    def newest_event(self) -> int:
        """The id of the last event that it has heard of the application; 0 before the first."""
        return max((int(event["id"]) for event in self._get("events")), default=0)

    def decision(self, after: int) -> Decision:
        """What it decides on the events that came after one.

        Raises:
            Unavailable: it does not decide.
        """
        fresh = {int(event["id"]) for event in self._get("events") if int(event["id"]) > after}
        if not fresh:
            return Decision("not asked", "no drift, and too few new labels for an event")
        end = time.monotonic() + _PATIENCE_SECONDS
        seen: dict[str, Any] = {}
        while time.monotonic() < end:
            about = [
                one for one in self._get("decisions") if fresh & {event["id"] for event in one["events"]}
            ]
            # Two events may be answered apart: a training by the first, and nothing more to do by the second.
            about.sort(key=lambda one: one["verdict"] != "retrain")
            seen = about[0] if about else seen
            if seen and (seen["verdict"] != "wait" or seen["rule"] in _LASTING):
                return Decision(seen["verdict"], f"{seen['rule']}: {seen['reason']}", seen["workflow"])
            time.sleep(_POLL_SECONDS)
        raise Unavailable("the arbiter does not decide", value=seen.get("reason"))

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _get(self, what: str) -> list[dict[str, Any]]:
        try:
            answer = self._http.get(f"/{what}", params={"application": self._application, "limit": "20"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"the arbiter does not answer: {error}") from error
        return [dict(one) for one in answer.json()]
