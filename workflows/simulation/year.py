"""The loop, month by month, on the embedded platform: ask, watch, label, decide, retrain, promote."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from services.common.errors import NotFound, Refused, RookeryError, Unavailable
from services.common.trust import trust_for
from workflows.commands.options import user
from workflows.commands.templates import RENDERED
from workflows.local import control, platform
from workflows.local.members import ARBITER, HOST, MONITOR
from workflows.local.remote import open_remote
from workflows.local.runs import Run, get_run, reason
from workflows.local.settings import PlatformSettings
from workflows.local.status import EnvironmentStatus, environment_statuses
from workflows.local.templates import TemplateStore
from workflows.release.application import APPS
from workflows.release.gitops import Message
from workflows.release.tree import Tree
from workflows.simulation.account import Month, percent, share
from workflows.simulation.clock import Clock, Span, month_span, query
from workflows.simulation.courier import Courier
from workflows.simulation.deciding import Arbiter
from workflows.simulation.people import People
from workflows.simulation.servers import ask, left_alone
from workflows.simulation.world import Input, World

Tell = Callable[[str], None]
_POLL_SECONDS = 0.2
_POLICY = b"""# A floor that production itself no longer reaches would refuse what is better than production.
floors:
  accuracy: 0.6
no_worse:
  metric: accuracy
  margin: 0.02
minimum_holdout: 50
"""
_WORKFLOW_SECONDS = 600.0
_STEPS = (("staging", "canary"), ("canary", "production"))


class Year:
    """One simulated year on a platform that is up.

    Args:
        folder: for the data; wiped before.
        tell: is told how far it is.
    """

    def __init__(self, settings: PlatformSettings, world: World, folder: Path, tell: Tell) -> None:
        self._settings = settings
        self._world = world
        self._folder = folder
        self._tell = tell
        self._templates = TemplateStore(RENDERED)
        ports = platform.known_ports(settings)
        self._url = f"http://{HOST}:{ports[MONITOR]}"
        self._arbiter = Arbiter(f"http://{HOST}:{ports[ARBITER]}", world.application)
        self._courier = Courier(settings.spool, self._url, settings.home / MONITOR)
        self._people = People(settings, world.application, folder, arbiter=f"http://{HOST}:{ports[ARBITER]}")

    def play(self) -> list[Month]:
        """Every month, in turn.

        Raises:
            Refused: the first model did not come to production.
            Unavailable: a part of the platform does not answer.
        """
        first = self._begin()
        with left_alone(self._settings, first.digest, self._folder / "left-alone") as alone:
            try:
                return [self._month(number, alone) for number in range(1, self._world.calendar.months + 1)]
            finally:
                self._courier.close()
                self._people.close()
                self._arbiter.close()

    def _begin(self) -> EnvironmentStatus:
        """The first model goes to production; what it answers on the way there lies before the year."""
        self._set_policy()
        source = self._people.start(self._world.start())
        run = self._workflow("train-model", {"data-source": source})
        if run.phase != "Succeeded":
            raise Refused(
                f"there is no first model: {reason(self._settings.home, run)}",
                allowed=f"rookery logs {run.name}",
            )
        if said := self._promote():
            raise Refused(f"the first model did not come to production: {said}")
        self._courier.carry(Clock(month_span(0), [], 0))
        found = self._production()
        self._tell(
            f"version {found.version} serves; its {found.metric} on the holdout is {found.metric_value:.3f}"
        )
        return found

    def _month(self, number: int, alone: str) -> Month:
        began = time.monotonic()
        span = month_span(number)
        month = Month(number, span.name, self._world.news(number), version=self._production().version)
        inputs = self._world.month(number)
        asked = ask(self._production().url, inputs)
        month.kept, month.alone = asked.right, ask(alone, inputs).right
        month.groups = [one.group for one in inputs]
        self._courier.carry(Clock(span, asked.marks, asked.end), until=("production", len(inputs)))
        found = self._drift(span)
        month.drift, month.drifting = str(found["state"]), list(found["drifting"])
        if number < self._world.calendar.months:
            self._learn(month, span, inputs)
            self._courier.carry(Clock(span, [], 0))
        month.seconds = time.monotonic() - began
        self._say(month)
        return month

    def _learn(self, month: Month, span: Span, inputs: list[Input]) -> None:
        """People label; the arbiter decides; what it starts is followed to its end."""
        before = self._arbiter.newest_event()
        labelled = self._people.label(span, inputs, drift=month.drift == "drift")
        month.labelled, month.estimate = labelled.count, labelled.estimate
        if month.drift == "drift":
            self._arbiter.tell("drift", span.name, {"drifting": month.drifting})
        decision = self._arbiter.decision(before)
        month.decision, month.reason = decision.verdict, decision.reason
        if decision.verdict != "retrain":
            return
        run = self._follow(decision.workflow)
        if run.phase != "Succeeded":
            month.outcome = f"refused: {reason(self._settings.home, run)}"
            return
        said = self._promote()
        month.outcome = said or "promoted"
        month.promoted = "" if said else self._production().version

    def _set_policy(self) -> None:
        """The gate's policy by a commit: that of the checkout has floors for data that never get harder."""
        application = self._world.application

        def change(tree: Tree) -> Message:
            tree.write(f"{APPS}/{application}/policy.yaml", _POLICY)
            return Message(
                f"policy: {application}: floors for a year that gets harder", {"Application": application}
            )

        open_remote(self._settings).commit(change)

    def _promote(self) -> str:
        """From staging to production by git commits; why not, if not."""
        for source, target in _STEPS:
            version = self._environment(source).version
            places = {"source-environment": source, "target-environment": target, "model-version": version}
            run = self._workflow("promote-model", places)
            if run.phase != "Succeeded":
                return f"not promoted to {target}: {reason(self._settings.home, run)}"
        return ""

    def _workflow(self, template: str, parameters: Mapping[str, str]) -> Run:
        """Submit a workflow and wait for its end."""
        given = {"application": self._world.application, "requested-by": user(), **parameters}
        home = self._settings.home
        return self._follow(control.submit(template, given, home=home, templates=self._templates))

    def _follow(self, name: str) -> Run:
        """Wait for a workflow's end; it is cancelled when this is interrupted."""
        home = self._settings.home
        end = time.monotonic() + _WORKFLOW_SECONDS
        try:
            while True:
                with suppress(NotFound):
                    if (run := get_run(home, name)).done:
                        return run
                if time.monotonic() > end:
                    raise Unavailable(f"{name} did not end within {_WORKFLOW_SECONDS:g} s")
                time.sleep(_POLL_SECONDS)
        except BaseException:
            with suppress(RookeryError):
                control.cancel(home, name)
            raise

    def _drift(self, span: Span) -> dict[str, Any]:
        """The monitor's own comparison of the month."""
        parameters = {"application": self._world.application, "environment": "production", **query(span)}
        try:
            answer = httpx.get(
                f"{self._url}/drift",
                params=parameters,
                timeout=30.0,
                trust_env=False,
                verify=trust_for(self._url),
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"the monitor does not say whether there is drift: {error}") from error
        return dict(answer.json())

    def _production(self) -> EnvironmentStatus:
        return self._environment("production")

    def _environment(self, name: str) -> EnvironmentStatus:
        found = environment_statuses(self._settings, self._world.application)
        return next(one for one in found if one.environment == name)

    def _say(self, month: Month) -> None:
        if month.news:
            self._tell(f"{month.name}  {month.news}")
        what = ", ".join(month.drifting[:4]) or month.drift
        drift = f"drift of {what}" if month.drift == "drift" else month.drift
        self._tell(
            f"{month.name}  {len(month.kept)} asked, version {month.version}: {percent(share(month.kept))} right, "
            f"without the loop {percent(share(month.alone))}; {drift}"
        )
        if month.decision:
            outcome = f"; version {month.promoted} to production" if month.promoted else ""
            refused = f"; {month.outcome}" if month.outcome and not month.promoted else ""
            self._tell(
                f"{'':7}  {month.labelled} labelled; {month.decision}: {month.reason}{outcome}{refused} "
                f"({month.seconds:.0f} s)"
            )
