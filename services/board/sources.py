"""Everything that the pages show, each remembered for a little while; nothing here waits for a slow place."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from services.board.asking import Asker
from services.board.cache import Cache, Reading
from services.board.place import Place
from services.board.rates import Rate, Rates
from services.board.settings import BoardSettings
from workflows.local.nodes import Node
from workflows.local.runs import LogLine, Run
from workflows.local.status import EnvironmentStatus
from workflows.local.verification import Verdict
from workflows.release.application import ApplicationFacts, list_applications, load_application
from workflows.release.component import release_folder
from workflows.release.git import Git
from workflows.release.history import Step, Why, steps
from workflows.release.plan import Plan, plan_in
from workflows.release.tree import Tree

T = TypeVar("T")
RUNS = 40
SERVICES = ("mlflow", "train", "evaluate", "monitor", "arbiter", "notify", "labels")
_HISTORY = 60
_LOG_LINES = 300
_FOREVER = 3600.0


@dataclass(frozen=True)
class Tip:
    """The newest commit that the environments follow, and the repository that has it."""

    folder: Path
    revision: str

    def tree(self) -> Tree:
        """Its files."""
        return Tree(Git(self.folder), self.revision)


class Sources:
    """The readings, by the questions that pages ask.

    Args:
        place: this machine or a cluster.
        asker: for the services that answer HTTP.
    """

    def __init__(self, settings: BoardSettings, place: Place, cache: Cache, asker: Asker) -> None:
        self.settings = settings
        self.place = place
        self.cache = cache
        self._asker = asker
        self._rates = Rates()
        # A cluster is asked over the network, this machine by reading files.
        self._slow = 3.0 if settings.cluster else 1.0

    def address(self, name: str) -> str:
        """Where a service is; empty when there is none."""
        return str(getattr(self.settings, f"{name}_url")) or self.place.parts().get(name, "")

    # Git

    def tip(self) -> Reading[Tip]:
        """The newest commit."""

        def read() -> Tip:
            tree = self.place.tree()
            return Tip(tree.git.folder, tree.revision)

        return self.cache.get("tip", read, 1.0 * self._slow)

    def applications(self) -> Reading[dict[str, ApplicationFacts]]:
        """The applications by name."""

        def read(tip: Tip) -> dict[str, ApplicationFacts]:
            tree = tip.tree()
            return {name: load_application(tree, name) for name in list_applications(tree)}

        return self._of_tip("applications", read)

    def past(self, application: str, environment: str) -> Reading[list[Step]]:
        """The commits that changed what an environment should run, newest first."""

        def read(tip: Tip) -> list[Step]:
            folder = release_folder(application, environment)
            return steps(Git(tip.folder), tip.revision, folder, application, environment, limit=_HISTORY)

        return self._of_tip(f"past:{application}:{environment}", read)

    def why(self, application: str, environment: str) -> Reading[Why]:
        """What an environment should run, since when and by which steps."""

        def read(tip: Tip) -> Why:
            return self.place.explain(tip.folder, application, environment, revision=tip.revision)

        return self._of_tip(f"why:{application}:{environment}", read)

    def plan(self, application: str, source: str, target: str) -> Reading[Plan]:
        """What a promotion would do."""
        return self._of_tip(
            f"plan:{application}:{source}:{target}",
            lambda tip: plan_in(tip.tree(), application, source, target),
        )

    # Environments and workflows

    def environments(self) -> Reading[list[EnvironmentStatus]]:
        """As `rookery status` has them."""
        return self.cache.get("environments", self.place.environments, 2.5 * self._slow)

    def environment(self, application: str, environment: str) -> EnvironmentStatus | None:
        """One of them."""
        found = self.environments().value or []
        wanted = (application, environment)
        return next((one for one in found if (one.application, one.environment) == wanted), None)

    def rate(self, status: EnvironmentStatus) -> Reading[Rate]:
        """How busy an environment is."""
        place = (status.application, status.environment)

        def read() -> Rate:
            facts = (self.applications().value or {})[status.application]
            url = self.place.server(facts, status.environment)
            return self._rates.saw(place, self._asker.text(url, "/metrics"))

        return self.cache.get(f"rate:{':'.join(place)}:{status.memory}", read, 4.0)

    def verification(self, application: str, environment: str) -> Reading[Verdict]:
        """`rookery verify`, remembered for an hour, or until somebody asks for it again."""
        name = f"verify:{application}:{environment}"
        return self.cache.get(name, lambda: self.place.verify(application, environment), _FOREVER)

    def verify_again(self, application: str, environment: str) -> None:
        """What was found counts no more."""
        self.cache.drop(f"verify:{application}:{environment}")

    def runs(self) -> Reading[list[Run]]:
        """The newest workflows first."""
        return self.cache.get("runs", lambda: self.place.runs(RUNS), 0.8 * self._slow)

    def run(self, name: str) -> Reading[Run]:
        """One of them, however old."""
        listed = self.runs()
        found = next((run for run in listed.value or [] if run.name == name), None)
        if found is not None:
            return Reading(found, listed.problem, listed.at)
        return self.cache.get(f"run:{name}", lambda: self.place.work.get(name), 2.0 * self._slow)

    def reason(self, run: Run) -> str:
        """Why a workflow did not succeed, in a line."""
        if not run.done or run.phase == "Succeeded":
            return run.message
        found = self.cache.get(f"reason:{run.name}", lambda: self.place.work.reason(run), _FOREVER)
        return found.value or run.message

    def log(self, run: Run) -> Reading[list[LogLine]]:
        """The last lines that its steps wrote."""

        def read() -> list[LogLine]:
            return list(deque(self.place.work.logs(run.name), maxlen=_LOG_LINES))

        return self.cache.get(f"log:{run.name}:{run.phase}", read, _FOREVER if run.done else 1.5 * self._slow)

    def said(self, run: Run, node: Node) -> str:
        """The last line of a step that is at work."""
        name = f"said:{run.name}:{node.id}"
        found = self.cache.get(
            name, lambda: self.place.work.last_line(run, node), 1.0 * self._slow, wait=False
        )
        return found.value or ""

    # Other services

    def service(self, name: str) -> Reading[bool]:
        """Whether a service answers."""
        path = "/health" if name == "mlflow" else "/healthz"
        address = self.address(name)
        return self.cache.get(f"service:{name}", lambda: self._asker.answers(address, path), 5.0)

    def training(self, run_id: str) -> Reading[dict[str, Any]]:
        """How far a training is, from the train service."""
        base = self.address("train")
        return self.cache.get(f"training:{run_id}", lambda: self._asker.json(base, f"/runs/{run_id}"), 1.0)

    def experiment(self, run_id: str) -> Reading[dict[str, Any]]:
        """The run as MLflow has it: parameters and metrics."""

        def read() -> dict[str, Any]:
            base = self.place.mlflow(self.address("mlflow"))
            found = self._asker.json(base, "/api/2.0/mlflow/runs/get", run_id=run_id)
            return dict(found["run"])

        return self.cache.get(f"experiment:{run_id}", read, 30.0)

    def drift(self, application: str, environment: str) -> Reading[dict[str, Any]]:
        """The comparison of the last day with the bundle's reference."""

        def read() -> dict[str, Any]:
            given = {"application": application, "environment": environment, "histograms": "true"}
            token = self.settings.monitor_token.get_secret_value()
            found = dict(self._asker.json(self.address("monitor"), "/drift", token=token, **given))
            # The window moves with the clock; what it holds is what counts.
            return {key: value for key, value in found.items() if key not in ("from", "to")}

        return self.cache.get(f"drift:{application}:{environment}", read, 20.0, wait=False)

    def decisions(self, application: str = "", limit: int = 50) -> Reading[list[dict[str, Any]]]:
        """Why a retraining happened or did not, newest first."""
        given = {"limit": str(limit)} | ({"application": application} if application else {})

        def read() -> list[dict[str, Any]]:
            token = self.settings.arbiter_token.get_secret_value()
            found = self._asker.json(self.address("arbiter"), "/decisions", token=token, **given)
            items = found.get("decisions", []) if isinstance(found, dict) else found
            return [dict(item) for item in items]

        return self.cache.get(f"decisions:{application}:{limit}", read, 2.0)

    def queue(self, application: str) -> Reading[dict[str, Any]]:
        """What waits to be labelled, and what the labels say."""

        def read() -> dict[str, Any]:
            token = self.settings.labels_token.get_secret_value()
            base = self.address("labels")
            return dict(self._asker.json(base, "/queue", token=token, application=application))

        return self.cache.get(f"queue:{application}", read, 5.0)

    def after_action(self) -> None:
        """Something was done: look again at what it may have changed."""
        self.cache.drop("runs", "tip", "environments", "plan:", "decisions:")

    def _of_tip(self, name: str, read: Any) -> Reading[Any]:
        """What a commit says, which never changes; until it is read, what the commit before it said."""
        tip = self.tip()
        if tip.value is None:
            return Reading(None, tip.problem, 0.0)
        value = tip.value
        key = f"{name}@{value.revision}"
        known = self.cache.get(key, lambda: read(value), _FOREVER)
        problem = known.problem or tip.problem
        return Reading(known.value, problem, known.at)
