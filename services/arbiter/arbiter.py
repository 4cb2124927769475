"""The one who decides: takes events, decides, submits exactly once, and follows each training to its end."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from services.arbiter.clock import Clock
from services.arbiter.decide import DAY, FAILED, KINDS, RUNNING, Event, Recipe, Situation, decide
from services.arbiter.engines import Engine
from services.arbiter.facts import Facts
from services.arbiter.settings import ArbiterSettings
from services.arbiter.store import DECIDED, Store, quarantined
from services.common.digest import is_digest
from services.common.errors import InvalidInput, NotFound, RookeryError, Unavailable
from services.common.names import check_name
from services.common.notices import tell

MOST_DETAIL_BYTES = 8192
_MOST_SUBJECT = 400
_CLOCK, _EVERYONE = "clock", ""
_SAVE_SECONDS = 10.0
_LOST_SECONDS = 120.0
_FORGET_SECONDS = 3600.0
_REST_TICKS = 10
_NOT_GIVEN = frozenset({"application", "requested-by", "train-ip", "eval-ip", "mlflow-ip", "force"})
_log = logging.getLogger(__name__)


class Arbiter:
    """One thread over one store.

    Attributes:
        problems: what went wrong, for Prometheus: part → how often.
        last_round: monotonic time of the last round that went well.
    """

    def __init__(self, settings: ArbiterSettings, store: Store, facts: Facts, engine: Engine) -> None:
        self.settings, self.store, self.facts, self.engine = settings, store, facts, engine
        saved = store.seen(_EVERYONE).get(_CLOCK)
        self.clock = Clock(tuple(json.loads(saved)) if saved else None)
        self.problems: dict[str, int] = dict.fromkeys(("round", "decide", "submit", "follow"), 0)
        self.last_round = time.monotonic()
        self._policy = settings.policy()
        self._saved = self._forgotten = float("-inf")
        self._resting: dict[str, tuple[list[Event], float]] = {}
        self._ended, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="arbiter", daemon=True)

    def start(self) -> None:
        """Go on with what was decided before, and begin to decide."""
        self._thread.start()

    def close(self) -> None:
        """End after the round at work."""
        self._ended.set()
        self._wake.set()
        self._thread.join(30)
        self._guard("round", self._save_clock)

    # Events

    def take(self, kind: str, application: str, subject: str, detail: Mapping[str, Any], by: str) -> int:
        """Take an event; returns its id. Its time is this clock's, whatever its sender thinks the time is.

        Raises:
            InvalidInput: no such kind, no name, or a detail that is too large or has wrong parameters.
            Unavailable: too many events are open, or the database is away.
        """
        check_name(application)
        if kind not in KINDS:
            raise InvalidInput("this is no kind of event", value=kind, allowed=", ".join(KINDS))
        if len(json.dumps(dict(detail))) > MOST_DETAIL_BYTES:
            raise InvalidInput("the detail is too large", allowed=f"{MOST_DETAIL_BYTES} bytes")
        _check_detail(detail)
        if self.store.open_count() >= self.settings.most_open:
            raise Unavailable("too many events are unanswered", allowed="trying again later")
        at = self.clock.now()
        if kind == "drift" and subject:
            # Drift lasts; the same drift of the same model is answered once a day.
            known = self.store.answered(kind, application, subject[:_MOST_SUBJECT], at - DAY)
            if known is not None:
                return known
        id_, _ = self.store.add_event(
            kind, application, subject[:_MOST_SUBJECT], detail, by[:200] or "unnamed", at=at
        )
        self._wake.set()
        return id_

    def look(self, application: str) -> list[int]:
        """Compare the data and the code of an application with those seen last; the events that this made.

        Raises:
            RookeryError: git or the train service does not answer; nothing is remembered then.
        """
        seen = self.store.seen(application)
        tip = self.facts.tip()
        described = self.facts.describe(application, self._standing(seen))
        made = []
        data = str(described["data"])
        if seen.get("data", data) != data:
            detail = {"items": described.get("items"), "source": described.get("source"), "watched": True}
            made.append(self.take("data", application, data, detail, "watcher"))
        if seen.get("code", tip.code) != tip.code:
            detail = {"code": tip.code, "commit": tip.commit, "before": seen.get("code", "")}
            made.append(self.take("code", application, tip.code, detail, "watcher"))
        self.store.remember(application, data=data, code=tip.code)
        return made

    def quarantine(self, application: str, data: str, reason: str, by: str, *, release: bool) -> None:
        """Put data where nobody trains on them, or let them go.

        Raises:
            InvalidInput: no whole digest, which would keep nothing from being trained on.
        """
        check_name(application)
        known = release and data in quarantined(self.store.seen(application))
        if not known and not is_digest(data):
            raise InvalidInput(
                "this is no whole digest of data",
                value=data,
                allowed="sha256: and 64 hex digits, as in `rookery decisions --json`",
            )
        told = "" if release else f"{reason or 'no reason given'} ({by or 'unnamed'})"
        self.store.remember(application, **{f"quarantine {data}": told})

    # Rounds

    def round(self) -> None:
        """Submit what was decided, follow what runs, decide on what is open."""
        for decision in self.store.unfinished():
            if decision["outcome"] == DECIDED:
                self._guard("submit", lambda one=decision: self._submit(one))
            else:
                self._guard("follow", lambda one=decision: self._follow(one))
        heard = self.clock.now()
        for application, events in self.store.open_events().items():
            self._guard("decide", lambda name=application, said=events: self._decide(name, said, heard))
        for decision in self.store.unfinished():
            if decision["outcome"] == DECIDED:
                self._guard("submit", lambda one=decision: self._submit(one))
        now = self.clock.now()
        if now - self._saved >= _SAVE_SECONDS:
            self._save_clock()
        if now - self._forgotten >= _FORGET_SECONDS:
            self._forgotten = now
            self.store.forget_before(now - self.settings.keep_days * DAY)

    def _decide(self, application: str, events: list[tuple[Event, dict[str, Any]]], heard: float) -> None:
        seen = self.store.seen(application)
        parameters = self._parameters(seen, [detail for _, detail in events])
        now = self.clock.now()
        asked = [event for event, _ in events]
        known, until = self._resting.get(application, ([], 0.0))
        if asked == known and now < until:
            return
        trainings = self.store.trainings(now - DAY)
        quick = Situation(application, now, asked, Recipe(), trainings)
        first = decide(quick, self._policy)
        # What needs neither git nor the train service nor MLflow is said without them.
        if first is not None and first.verdict == "wait" and first.rule in ("one at a time", "debounce"):
            self.store.record(application, first, at=now, heard=heard, key="", data="", parameters=parameters)
            return
        recipe = self.facts.recipe(application, parameters)
        made: dict[str, str] = {}
        if recipe.key:
            try:
                past = self.facts.past(application, recipe.key)
                if past is not None and not past.missing:
                    made = {recipe.key: past.words}
            except RookeryError as error:
                recipe = Recipe(problem=str(error))
        situation = Situation(
            application,
            self.clock.now(),
            asked,
            recipe,
            trainings,
            made,
            quarantined(seen),
            self._blamed(application, events, seen) if recipe.fault == "asked" else frozenset(),
        )
        decision = decide(situation, self._policy)
        if decision is None:
            return
        if decision.verdict == "retrain" and any(event.force for event, _ in events):
            parameters = {**parameters, "force": "true"}
        id_ = self.store.record(
            application,
            decision,
            at=situation.now,
            heard=heard,
            key=recipe.key,
            data=recipe.data,
            parameters=parameters,
        )
        if decision.verdict == "wait":
            if decision.until is not None:
                # An hour's cooldown is no reason to fetch from git, and to ask two services, 3,600 times.
                rest = situation.now + _REST_TICKS * self.settings.tick_seconds
                self._resting[application] = asked, min(decision.until, rest)
            return
        if decision.verdict == "retrain":
            said = [str(detail["source"]) for _, detail in events if _names_source(detail)]
            self.store.remember(application, source=said[-1] if said else seen.get("source", ""))
        _log.info("%s: %s by %s: %s", application, decision.verdict, decision.rule, decision.reason)
        tell(
            "decision",
            application,
            "",
            f"{application}: {decision.verdict} ({decision.rule})",
            reason=decision.reason,
            decision=id_,
            workflow=f"train-model-{id_}" if decision.verdict == "retrain" else "",
        )

    def _blamed(
        self, application: str, events: list[tuple[Event, dict[str, Any]]], seen: Mapping[str, str]
    ) -> frozenset[int]:
        """The events whose parameters are refused; none when it is refused without any too, or not known."""
        asking = [(event.id, detail) for event, detail in events if detail.get("parameters")]
        plain = [{**detail, "parameters": None} for _, detail in events]
        if not asking or self.facts.recipe(application, self._parameters(seen, plain)).problem:
            return frozenset()
        refused: dict[str, bool] = {}
        for _, detail in asking:
            own = json.dumps(detail["parameters"], sort_keys=True)
            if own not in refused:
                found = self.facts.recipe(application, self._parameters(seen, [*plain, detail]))
                refused[own] = found.fault == "asked"
        alone = [id_ for id_, one in asking if refused[json.dumps(one["parameters"], sort_keys=True)]]
        return frozenset(alone or [id_ for id_, _ in asking])

    def _standing(self, seen: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a training that nobody has said anything about."""
        return {"data-source": seen["source"]} if seen.get("source") else {}

    def _parameters(self, seen: Mapping[str, str], details: list[dict[str, Any]]) -> dict[str, str]:
        """Parameters of train-model: the data that were labelled last, and what events ask for; the newest wins."""
        found = self._standing(seen)
        for detail in details:
            if _names_source(detail):
                found["data-source"] = str(detail["source"])
            found |= {str(name): str(value) for name, value in (detail.get("parameters") or {}).items()}
        return found

    def _submit(self, decision: Mapping[str, Any]) -> None:
        parameters = {
            **decision["parameters"],
            "application": decision["application"],
            "requested-by": f"arbiter, decision {decision['id']}: {decision['rule']}",
        }
        try:
            self.engine.submit(decision["workflow"], parameters)
        except (Unavailable, OSError):
            raise
        except RookeryError as error:
            self.store.settle(decision["id"], FAILED, f"it could not be submitted: {error}", self.clock.now())
            return
        self.store.settle(decision["id"], RUNNING)

    def _follow(self, decision: Mapping[str, Any]) -> None:
        try:
            outcome, message = self.engine.state(decision["workflow"])
        except NotFound:
            if self.clock.now() - decision["at"] > _LOST_SECONDS:
                self.store.settle(
                    decision["id"],
                    FAILED,
                    "the workflow is gone, and nobody knows how it ended",
                    self.clock.now(),
                )
            return
        if outcome != RUNNING:
            self.store.settle(decision["id"], outcome, message, self.clock.now())

    def _run(self) -> None:
        self._guard("follow", self._take_up)
        while not self._ended.is_set():
            if self._guard("round", self.round):
                self.last_round = time.monotonic()
            self._wake.wait(self.settings.tick_seconds)
            self._wake.clear()
            # A thousand events in a second are looked at together.
            self._ended.wait(min(0.1, self.settings.tick_seconds))

    def _take_up(self) -> None:
        for decision in self.store.unfinished():
            if decision["outcome"] == RUNNING:
                self._guard("follow", lambda one=decision: self.engine.resume(one["workflow"]))

    def _save_clock(self) -> None:
        self.store.remember(_EVERYONE, **{_CLOCK: json.dumps(self.clock.to_save())})
        self._saved = self.clock.now()

    def _guard(self, part: str, function: Any) -> bool:
        try:
            function()
        except RookeryError as error:
            _log.warning("%s: %s; will try again", part, error)
        except Exception:
            _log.exception("%s: the arbiter stumbled and goes on", part)
        else:
            return True
        self.problems[part] += 1
        return False


def _names_source(detail: Mapping[str, Any]) -> bool:
    return bool(detail.get("source")) and not detail.get("watched")


def _check_detail(detail: Mapping[str, Any]) -> None:
    parameters = detail.get("parameters")
    if parameters is not None:
        if not isinstance(parameters, dict) or not all(
            isinstance(name, str) and isinstance(value, str) for name, value in parameters.items()
        ):
            raise InvalidInput("detail.parameters must be names and texts", value=parameters)
        wrong = sorted(_NOT_GIVEN & parameters.keys())
        if wrong:
            raise InvalidInput("an event does not set these parameters", value=", ".join(wrong))
    for name, kind in (("source", str), ("code", str), ("force", bool)):
        if name in detail and detail[name] is not None and not isinstance(detail[name], kind):
            raise InvalidInput(f"detail.{name} must be a {kind.__name__}", value=detail[name])
