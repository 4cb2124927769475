"""Looks at every environment again and again: the figures of `/metrics`, and a word to people when drift begins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import SecretStr

from services.common.errors import RookeryError
from services.common.notices import tell
from services.common.trust import trust_for
from services.monitor.windows import Window

_DAY = timedelta(days=1)
_EVENT_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Watch:
    """One thread.

    Args:
        places: the environments that logged something.
        compare: the comparison of one of them, as `/drift` answers it.
        seconds: pause between two looks.
        arbiter: address of the service that decides about retraining; empty: there is none.
        token: what the arbiter wants to be told.
    """

    def __init__(
        self,
        places: Callable[[], list[tuple[str, str]]],
        compare: Callable[[str, str, datetime, datetime], Window],
        seconds: float,
        arbiter: str = "",
        token: SecretStr = SecretStr(""),  # noqa: B008 immutable
    ) -> None:
        self._places, self._compare, self._seconds = places, compare, seconds
        self._arbiter, self._token = arbiter.rstrip("/"), token
        self._told: dict[tuple[str, str], str] = {}
        self._posted: dict[tuple[str, str], str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End after what is being done."""
        self._ended.set()
        self._thread.join(10)

    def look(self, now: datetime) -> None:
        """Compare the last day of each environment; one that cannot be compared keeps none of the others."""
        for application, environment in self._places():
            try:
                window = self._compare(application, environment, now - _DAY, now)
                self._tell(window)
            except RookeryError as error:
                _log.warning("%s %s is not compared: %s", application, environment, error)
            except Exception:
                _log.exception("%s %s could not be compared", application, environment)

    def _tell(self, window: Window) -> None:
        place = (window.application, window.environment)
        if window.state != "drift":
            if window.state == "steady":
                self._told.pop(place, None)
                self._posted.pop(place, None)
            return
        names = ", ".join(one.name for one in window.findings if one.state == "drift")
        event = {
            "kind": "drift",
            "application": window.application,
            "subject": f"{window.environment} version {window.version or '?'}",
            "detail": {
                "environment": window.environment,
                "version": window.version,
                "bundle_digest": window.bundle_digest,
                "drifting": names,
                "predictions": window.cell.count,
                "from": window.begin.isoformat(),
                "to": window.end.isoformat(),
            },
            "by": "monitor",
        }
        # Once for each model; other features of the same model that drift too are no news.
        if self._told.get(place) != window.bundle_digest and tell(
            "drift",
            window.application,
            window.environment,
            f"{' '.join(place)} differs from what version {window.version or '?'} was validated on: {names}",
            drifting=names,
            version=window.version,
            predictions=window.cell.count,
            novel_share=f"{window.cell.novel / max(1, window.cell.count):.3f}",
            until=f"{window.end:%Y-%m-%d %H:%M}",
        ):
            self._told[place] = window.bundle_digest
        if self._posted.get(place) != window.bundle_digest and self._post(event):
            self._posted[place] = window.bundle_digest

    def _post(self, event: Mapping[str, object]) -> bool:
        """Whether the arbiter has the event, or there is none; else the next look tries again."""
        if not self._arbiter:
            return True
        token = self._token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = httpx.post(
                f"{self._arbiter}/events",
                json=event,
                headers=headers,
                timeout=_EVENT_SECONDS,
                trust_env=False,
                verify=trust_for(self._arbiter),
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            _log.warning("the arbiter does not answer: %s: %s", type(error).__name__, error)
            return False
        if not answer.is_success:
            _log.warning("the arbiter answered %d: %s", answer.status_code, answer.text[:200])
        return answer.is_success

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.look(datetime.now(UTC))
            except Exception:
                _log.exception("the environments could not be looked at")
