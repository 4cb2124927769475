"""The pages, each as parts that are kept live by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError
from markupsafe import Markup

from services.board.audit import Audit
from services.board.cache import Reading
from services.board.lineage import Addresses, chain
from services.board.pipeline import WAITING, Stage, picture, running_stage, stages
from services.board.render import render
from services.board.sessions import Session
from services.board.sources import SERVICES, Sources
from services.common.errors import NotFound
from services.common.names import check_name
from workflows.local.runs import Run, was_refused
from workflows.local.status import EnvironmentStatus

_RECENT, _SHOWN_DECISIONS = 6, 5
_RUN_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,80}")


@dataclass(frozen=True)
class Page:
    """What is shown at a path.

    Attributes:
        section: which entry of the navigation it belongs to.
        parts: by name, in their order; the name is also the class that places it.
        crumbs: (text, path) of the pages above.
    """

    title: str
    section: str
    parts: dict[str, Markup]
    crumbs: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class RunView:
    """A workflow as the pages show it."""

    run: Run
    stages: list[Stage]
    at: Stage | None
    said: str
    progress: dict[str, Any]
    reason: str

    @property
    def waits(self) -> bool:
        """Whether somebody must approve it."""
        return self.at is not None and self.at.state == WAITING

    @property
    def stopped(self) -> bool:
        """Whether its engine is gone before its end."""
        return not self.run.done and self.run.engine is None

    @property
    def refused(self) -> bool:
        """Whether it ended because a step of it said no."""
        return self.run.done and was_refused(self.run)

    @property
    def picture(self) -> Any:
        """Where the stages are drawn."""
        return picture(self.stages)


class Views:
    """Makes pages from what is known."""

    def __init__(self, sources: Sources, audit: Audit) -> None:
        self._sources = sources
        self._audit = audit
        self._routes: list[tuple[re.Pattern[str], Callable[..., Page]]] = [
            (re.compile(r"/"), self._overview),
            (re.compile(r"/applications/([^/]+)"), self._application),
            (re.compile(r"/applications/([^/]+)/([^/]+)"), self._environment),
            (re.compile(r"/applications/([^/]+)/([^/]+)/verify"), self._verify),
            (re.compile(r"/runs"), self._runs),
            (re.compile(r"/runs/([^/]+)"), self._run),
            (re.compile(r"/decisions"), self._decisions),
            (re.compile(r"/labels"), self._labels),
            (re.compile(r"/actions"), self._actions),
        ]

    def page(self, path: str, session: Session) -> Page:
        """The page at a path.

        Raises:
            NotFound: there is none.
        """
        for pattern, view in self._routes:
            if found := pattern.fullmatch(path):
                return view(session, *found.groups())
        raise NotFound("there is no such page", value=path)

    def _overview(self, session: Session) -> Page:
        sources = self._sources
        facts, statuses = sources.applications(), sources.environments()
        parts = {"services": self._services(), "now": self._now(session)}
        for name in facts.value or {}:
            parts[f"app-{name}"] = self._pipeline_of(session, name, statuses)
        if not facts.value:
            parts["none"] = render("parts/none.html", problem=facts.problem)
        parts["recent"] = self._recent(session)
        parts["why"] = _outside(
            "parts/decisions.html",
            reading=sources.decisions(limit=50),
            limit=_SHOWN_DECISIONS,
            application="",
        )
        return Page("Overview", "/", parts)

    def _application(self, session: Session, name: str) -> Page:
        sources = self._sources
        facts = self._facts(name)
        parts = {f"app-{name}": self._pipeline_of(session, name, sources.environments())}
        histories = {one: sources.past(name, one) for one in facts.environments}
        steps = sorted(
            ((step, one) for one, reading in histories.items() for step in reading.value or []),
            key=lambda pair: pair[0].at,
            reverse=True,
        )
        problem = next((reading.problem for reading in histories.values() if reading.problem), "")
        parts["history"] = render("parts/history.html", steps=steps, problem=problem, application=name)
        parts["recent"] = self._recent(session, name)
        parts["why"] = _outside(
            "parts/decisions.html", reading=sources.decisions(name), limit=8, application=name
        )
        parts["queue"] = _outside("parts/queue.html", application=name, reading=sources.queue(name))
        return Page(name, "/", parts, [("Overview", "/")])

    def _environment(self, session: Session, name: str, environment: str) -> Page:
        sources = self._sources
        facts = self._facts(name)
        facts.check_environment(environment)
        status = sources.environment(name, environment)
        why = sources.why(name, environment)
        proof = why.value.evidence if why.value else None
        run = sources.experiment(proof.run_id) if proof else Reading(None, "", 0.0)
        links = (
            chain(
                why.value,
                status,
                run.value,
                Addresses(sources.address("mlflow"), sources.address("evaluate")),
            )
            if why.value
            else []
        )
        rate = sources.rate(status).value if status and status.health == "ok" else None
        drift = sources.drift(name, environment) if proof else None
        parts = {
            "facts": render(
                "parts/environment.html",
                status=status,
                name=name,
                environment=environment,
                rate=rate,
                before=_before(facts.environments, environment),
                after=_after(facts.environments, environment),
                drift=drift.value if drift else None,
            ),
            "lineage": render("parts/lineage.html", links=links, problem=why.problem or run.problem),
        }
        if proof and why.value:
            parts["gate"] = render("parts/gate.html", proof=proof, sentences=why.value.sentences())
        if drift:
            parts["drift"] = _outside(
                "parts/drift.html",
                reading=drift,
                name=name,
                environment=environment,
                monitor=sources.address("monitor"),
            )
        past = sources.past(name, environment)
        steps = [(step, environment) for step in past.value or []]
        parts["history"] = render("parts/history.html", steps=steps, problem=past.problem, application=name)
        return Page(f"{name} {environment}", "/", parts, [("Overview", "/"), (name, f"/applications/{name}")])

    def _verify(self, session: Session, name: str, environment: str) -> Page:
        self._facts(name).check_environment(environment)
        reading = self._sources.verification(name, environment)
        here = f"/applications/{name}"
        parts = {
            "verify": render("parts/verify.html", reading=reading, application=name, environment=environment)
        }
        crumbs = [("Overview", "/"), (name, here), (environment, f"{here}/{environment}")]
        return Page(f"Verify {environment}", "/", parts, crumbs)

    def _runs(self, session: Session) -> Page:
        reading = self._sources.runs()
        views = [self.run_view(run) for run in reading.value or []]
        parts = {"runs": render("parts/runs.html", views=views, problem=reading.problem, title="Workflows")}
        return Page("Workflows", "/runs", parts)

    def _run(self, session: Session, name: str) -> Page:
        if not _RUN_NAME.fullmatch(name):
            raise NotFound("there is no such workflow", value=name)
        reading = self._sources.run(name)
        if reading.value is None:
            raise NotFound(reading.problem or "there is no such workflow", value=name)
        run = reading.value
        view = self.run_view(run)
        log = self._sources.log(run)
        parts = {
            "run": render("parts/run.html", view=view, session=session, problem=reading.problem),
            "steps": render("parts/steps.html", view=view),
            "log": render("parts/log.html", reading=log),
        }
        return Page(run.name, "/runs", parts, [("Workflows", "/runs")])

    def _decisions(self, session: Session) -> Page:
        reading = self._sources.decisions(limit=200)
        parts = {"why": _outside("parts/decisions.html", reading=reading, limit=200, application="")}
        return Page("Decisions", "/decisions", parts)

    def _labels(self, session: Session) -> Page:
        parts = {
            f"queue-{name}": _outside("parts/queue.html", application=name, reading=self._sources.queue(name))
            for name in self._sources.applications().value or {}
        }
        return Page("Labelling", "/labels", parts)

    def _actions(self, session: Session) -> Page:
        parts = {"actions": render("parts/actions.html", past=self._audit.read())}
        return Page("Actions", "/actions", parts)

    # Parts that several pages have

    def run_view(self, run: Run) -> RunView:
        """A workflow with its stages, and what the one at work says."""
        found = stages(run)
        at = None if run.done else running_stage(found)
        node = next((one for one in run.nodes if one.phase == "Running" and one.type == "Pod"), None)
        said = self._sources.said(run, node) if node and not run.done else ""
        return RunView(run, found, at, said, self._progress(run, at), self._sources.reason(run))

    def _progress(self, run: Run, at: Stage | None) -> dict[str, Any]:
        """How far the training is whose end a workflow waits for."""
        if at is None or at.name != "train" or not self._sources.address("train"):
            return {}
        start = next((node for node in run.nodes if "run-id" in node.parameters), None)
        if start is None or not start.parameters["run-id"].isalnum():
            return {}
        return self._sources.training(start.parameters["run-id"]).value or {}

    def _services(self) -> Markup:
        found = [(name, self._sources.service(name)) for name in SERVICES]
        return render("parts/services.html", services=found, place=self._sources.place.title)

    def _now(self, session: Session) -> Markup:
        reading = self._sources.runs()
        views = [self.run_view(run) for run in reading.value or [] if not run.done and not _routine(run)]
        return render("parts/now.html", views=views, session=session, problem=reading.problem)

    def _recent(self, session: Session, application: str = "") -> Markup:
        reading = self._sources.runs()
        mine = [
            run
            for run in reading.value or []
            if run.done and not _routine(run) and application in ("", run.parameters.get("application"))
        ]
        views = [self.run_view(run) for run in mine[:_RECENT]]
        return render("parts/runs.html", views=views, problem=reading.problem, title="Recent workflows")

    def _pipeline_of(self, session: Session, name: str, reading: Reading[list[EnvironmentStatus]]) -> Markup:
        sources = self._sources
        facts = self._facts(name)
        statuses = {one.environment: one for one in reading.value or [] if one.application == name}
        rates = {one.environment: sources.rate(one).value for one in statuses.values() if one.health == "ok"}
        drifts = {
            one.environment: sources.drift(name, one.environment).value
            for one in statuses.values()
            if one.digest and sources.address("monitor")
        }
        pairs = list(zip(facts.environments, facts.environments[1:], strict=False))
        plans = {target: sources.plan(name, source, target).value for source, target in pairs}
        busy = [
            run
            for run in sources.runs().value or []
            if not run.done and run.parameters.get("application") == name
        ]
        return render(
            "parts/application.html",
            facts=facts,
            statuses=statuses,
            rates=rates,
            drifts=drifts,
            plans=plans,
            sources={target: source for source, target in pairs},
            busy=busy,
            problem=reading.problem,
        )

    def _facts(self, name: str) -> Any:
        check_name(name)
        reading = self._sources.applications()
        found = (reading.value or {}).get(name)
        if found is None:
            raise NotFound(reading.problem or "there is no such application", value=name)
        return found


def _routine(run: Run) -> bool:
    """Whether it is a look that the clock asks for, which nobody has to see unless it fails."""
    return run.template == "watch-applications" and (not run.done or run.phase == "Succeeded")


def _outside(template: str, **values: Any) -> Markup:
    """A part with what another service said; one whose answer is of another shape spoils no page."""
    try:
        return render(template, **values)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        return render("parts/strange.html", what=what, template=template)


def _before(environments: tuple[str, ...], one: str) -> str:
    at = environments.index(one)
    return environments[at - 1] if at else ""


def _after(environments: tuple[str, ...], one: str) -> str:
    at = environments.index(one)
    return environments[at + 1] if at + 1 < len(environments) else ""


def unlike(before: Mapping[str, Markup], after: Mapping[str, Markup]) -> dict[str, str]:
    """The parts that are not as they were; empty text for one that is gone."""
    changed = {name: str(html) for name, html in after.items() if before.get(name) != html}
    return changed | {name: "" for name in before if name not in after}
