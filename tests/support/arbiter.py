"""An arbiter over a world that tests set, driven round by round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.arbiter.arbiter import Arbiter
from services.arbiter.decide import RUNNING, Recipe
from services.arbiter.facts import Tip
from services.arbiter.settings import ArbiterSettings
from services.arbiter.store import Store
from services.common.errors import NotFound, Unavailable
from workflows.steps.reuse import Past


class World:
    """What git, the train service and MLflow say."""

    def __init__(self) -> None:
        self.data, self.code, self.commit = "sha256:data", "sha256:code", "c0ffee"
        self.away = False
        self.unknown: set[str] = set()
        self.pasts: dict[str, Past] = {}
        self.asked: list[dict[str, str]] = []

    def tip(self) -> Tip:
        if self.away:
            raise Unavailable("git is away")
        return Tip(self.commit, self.code)

    def key(self, parameters: Mapping[str, str]) -> str:
        return f"sha256:{self.data}{self.code}{sorted(parameters.items())}"[:80]

    def describe(self, application: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        if self.away:
            raise Unavailable("the train service is away")
        return {
            "data": self.data,
            "code": self.code,
            "key": self.key(parameters),
            "items": 10,
            "source": "digits",
        }

    def recipe(self, application: str, parameters: Mapping[str, str]) -> Recipe:
        self.asked.append(dict(parameters))
        if self.away:
            return Recipe(problem="the train service is away")
        if application == "owls":
            return Recipe(problem="there is no such application", fault="application")
        if wrong := sorted(self.unknown & parameters.keys()):
            return Recipe(problem=f"unknown hyperparameter {wrong[0]}", fault="asked")
        return Recipe(self.key(parameters), self.data, self.code)

    def past(self, application: str, key: str) -> Past | None:
        return self.pasts.get(key)


class Engine:
    """Workflows that end when a test says so. `dies` is what submit raises, `after` having made the workflow or not."""

    def __init__(self) -> None:
        self.workflows: dict[str, dict[str, str]] = {}
        self.outcomes: dict[str, tuple[str, str]] = {}
        self.calls = 0
        self.resumed: list[str] = []
        self.dies: BaseException | None = None
        self.after = False

    def submit(self, name: str, parameters: Mapping[str, str]) -> None:
        self.calls += 1
        if self.dies and not self.after:
            raise self.dies
        self.workflows.setdefault(name, dict(parameters))
        self.outcomes.setdefault(name, (RUNNING, ""))
        if self.dies:
            raise self.dies

    def state(self, name: str) -> tuple[str, str]:
        if name not in self.outcomes:
            raise NotFound("there is no such run", value=name)
        return self.outcomes[name]

    def resume(self, name: str) -> None:
        self.resumed.append(name)


class Machine:
    """The clocks of a machine."""

    def __init__(self) -> None:
        self.wall, self.steady = 1e9, 0.0

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def make(folder: Path, world: World, engine: Engine, machine: Machine, **settings: Any) -> Arbiter:
    """An arbiter on the database of a folder; made again, it is the same one after a restart."""
    from services.arbiter.clock import Clock

    store = Store(f"sqlite:///{folder / 'arbiter.db'}")
    arbiter = Arbiter(ArbiterSettings(**settings), store, world, engine)  # type: ignore[arg-type]
    saved = store.seen("").get("clock")
    import json

    machine.steady = 0.0
    arbiter.clock = Clock(
        tuple(json.loads(saved)) if saved else None, wall=lambda: machine.wall, steady=lambda: machine.steady
    )
    return arbiter


def verdicts(arbiter: Arbiter) -> list[tuple[str, str]]:
    """Verdict and rule of every decision, the oldest first."""
    return [(one["verdict"], one["rule"]) for one in reversed(arbiter.store.decisions())]
