"""Does what is due, by itself: chooses, sends, collects, publishes, and tells the arbiter."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from services.common.errors import NotFound, RookeryError, Unavailable
from services.common.notices import tell
from services.common.trust import trust_for
from services.labels.office import Office

COUNTS = ("chosen", "sent", "answers", "versions", "away", "events")
_LONGEST_PAUSE = 600.0
_log = logging.getLogger(__name__)


class Clerk:
    """One thread over one office.

    Attributes:
        counts: what happened, for Prometheus.
        last: monotonic time of the last round in which the desk answered.
        trouble: what went wrong in the last round, empty if nothing did.
    """

    def __init__(
        self,
        office: Office,
        applications: Callable[[], list[str]],
        *,
        choose_seconds: float,
        poll_seconds: float,
        quiet_seconds: float = 0.0,
        arbiter: tuple[str, str] = ("", ""),
    ) -> None:
        self.office, self.applications = office, applications
        self.counts = dict.fromkeys(COUNTS, 0)
        self.last = 0.0
        self.trouble = ""
        self._choose_seconds, self._poll_seconds = choose_seconds, poll_seconds
        self._quiet_seconds = quiet_seconds
        self._answered: dict[str, float] = {}
        self._arbiter = arbiter
        self._chosen: float | None = None
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after what is being done."""
        self._ended.set()
        self._wake.set()
        self._thread.join(30)

    def wake(self) -> None:
        """Somebody answered: look at the desk soon."""
        self._wake.set()

    def choose(self, application: str) -> int:
        """Choose inputs now; how many tasks are new."""
        tasks = self.office.choose(application)
        self.counts["chosen"] += len(tasks)
        return len(tasks)

    def sync(self, application: str, *, patient: bool = False) -> dict[str, Any]:
        """Bring desk and dataset together now.

        Args:
            patient: make no version while people are at it, or each answer would be one.

        Raises:
            Unavailable: the desk is away.
        """

        def quiet(answers: int) -> bool:
            if answers:
                self._answered[application] = time.monotonic()
            since = self._answered.get(application)
            return since is None or time.monotonic() - since >= self._quiet_seconds

        try:
            done = self.office.sync(application, publishing=quiet if patient else None)
        except Unavailable:
            self.counts["away"] += 1
            raise
        self.counts["sent"] += done["sent"]
        self.counts["answers"] += done["answers"]
        if done["version"] is not None:
            self.counts["versions"] += 1
            tell(
                "labels",
                application,
                "",
                f"version {done['version']} of the labelled dataset of {application}",
                new=done["new"],
                source=done["source"],
            )
        self.tell_arbiter()
        return done

    def tell_arbiter(self) -> int:
        """Hand over the events that wait; how many. An arbiter that is away gets them the next time."""
        url, token = self._arbiter
        told = 0
        if not url:
            return 0
        for application, subject, body in self.office.place.book.events():
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            try:
                answer = httpx.post(
                    f"{url}/events",
                    json=body,
                    headers=headers,
                    timeout=5,
                    trust_env=False,
                    verify=trust_for(url),
                )
            except httpx.HTTPError as error:
                _log.warning("the arbiter does not answer: %s", type(error).__name__)
                return told
            if not answer.is_success:
                _log.warning("the arbiter answers %s to an event of %s", answer.status_code, application)
                continue
            self.office.place.book.told(application, subject)
            self.counts["events"] += 1
            told += 1
        return told

    def round(self) -> bool:
        """All applications once; whether all went well."""
        due = self._chosen is None or time.monotonic() - self._chosen >= self._choose_seconds
        trouble = []
        for application in self.applications():
            steps: list[Callable[[str], object]] = [self.choose] if due else []
            for step in (*steps, self._look):
                try:
                    step(application)
                except NotFound as error:
                    _log.info("%s: %s", application, error)
                except RookeryError as error:
                    _log.warning("%s: %s; will try again", application, error)
                    trouble.append(f"{application}: {error}")
                except Exception as error:
                    _log.exception("the clerk stumbled over %s and goes on", application)
                    trouble.append(f"{application}: {type(error).__name__}")
        if due:
            self._chosen = time.monotonic()
        self.trouble = "; ".join(trouble)
        if not trouble:
            self.last = time.monotonic()
        return not trouble

    def _look(self, application: str) -> None:
        self.sync(application, patient=True)

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if self._ended.is_set():
                return
            fine = self.round()
            pause = self._poll_seconds if fine else min(max(pause, 1.0) * 2, _LONGEST_PAUSE)
            if fine and any(time.monotonic() - at < self._quiet_seconds for at in self._answered.values()):
                pause = min(pause, self._quiet_seconds)
