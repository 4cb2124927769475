"""A board on a state folder of its own: releases, runs as an engine writes them, other services with hostile names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from services.board.app import create_app
from services.board.settings import BoardSettings
from tests.support.asgi import serving
from tests.support.gitops import Remote
from workflows.commands.templates import RENDERED
from workflows.local.journal import Journal
from workflows.local.models import Parameter
from workflows.local.nodes import Node
from workflows.local.runs import Run
from workflows.local.settings import PlatformSettings
from workflows.local.state import State
from workflows.local.templates import Library, TemplateStore
from workflows.local.workflow import make_workflow

TOKEN = "a-token-of-the-tests-0123456789"
HOSTILE = "\"><img src=x onerror=window.broken=1><script>window.broken=1</script>'{{7*7}}"
PAGE = {"accept": "text/html"}
_FORM = {"content-type": "application/x-www-form-urlencoded"}


class World:
    """What the board shows, changed by the test.

    Attributes:
        away: names of services that do not answer.
        slow: seconds that every other service takes.
        decisions, queue, drift: what they say.
    """

    def __init__(self, folder: Path) -> None:
        self.remote = Remote(folder / "home")
        self.home = self.remote.home
        self.reset()

    def reset(self) -> None:
        """All services are there and say what they said at first."""
        self.platform = PlatformSettings(home=self.home)
        self.away: set[str] = set()
        self.slow = 0.0
        self.decisions: list[dict[str, Any]] = [
            {
                **{"id": 1, "time": "2026-11-21T10:00:00Z", "application": "digits", "verdict": "refuse"},
                **{"rule": "cooldown", "reason": f"too soon after {HOSTILE}", "workflow": None},
                "events": [{"kind": "data", "subject": HOSTILE, "detail": {"file": HOSTILE}, "by": HOSTILE}],
            },
        ]
        self.queue: dict[str, Any] = {
            **{"open": 12, "done": 3, "agreement": 0.91, "aside": {f"{HOSTILE}: no label": 1}},
            **{
                "url": "http://studio.example:5000",
                "gate": {"state": "passed", "waiting": {HOSTILE: HOSTILE}},
            },
            "accuracy": {"estimate": 0.93, "low": 0.9, "high": 0.95, "count": 80, "since": "2026-11-01"},
        }
        self.drift: dict[str, Any] = {
            **{"state": "drift", "drifting": [HOSTILE], "against": "the bundle's validation split"},
            **{"predictions": 4000, "novel_share": 0.02},
            "findings": [{"name": HOSTILE, "state": "drift", "excess": 0.31, "note": HOSTILE}],
            "histograms": {
                HOSTILE: {
                    **{"edges": None, "labels": [HOSTILE, "wren"]},
                    **{"reference": [0.5, 0.5], "window": [0.9, 0.1]},
                }
            },
        }

    def release(self, version: int) -> None:
        """A release of a version to staging, without an image that could run."""
        digest = f"sha256:{version:064x}"
        self.remote.release(version, digest, digest)

    def run(self, template: str, parameters: dict[str, str]) -> WrittenRun:
        """A run at its beginning."""
        return WrittenRun(self.home, template, parameters)

    def others(self) -> FastAPI:
        """The other services, all at one address."""
        app = FastAPI()

        @app.get("/{path:path}")
        def answer(path: str) -> JSONResponse:
            time.sleep(self.slow)
            name = {"decisions": "arbiter", "queue": "labels", "drift": "monitor"}.get(path, path)
            if name in self.away or "all" in self.away:
                return JSONResponse({"message": f"{HOSTILE} is away"}, 503)
            found: Any = {"decisions": self.decisions, "queue": self.queue, "drift": self.drift}.get(path)
            return JSONResponse({"status": "ok"} if found is None else found)

        return app


class WrittenRun:
    """A run that the test leads on, as an engine would."""

    def __init__(self, home: Path, template: str, parameters: dict[str, str]) -> None:
        store = TemplateStore(RENDERED)
        manifest = store.get(template)
        library = Library(manifest, store)
        for reference in ("deliver-release",):
            library.used.add(reference)
        flow = make_workflow(manifest, library, parameters, config=home / "config")
        self.name = flow.name
        folder = home / "runs" / flow.name
        folder.mkdir(parents=True)
        flow.save(folder / "workflow.json")
        self._journal = Journal(folder / "journal.jsonl")
        self._state = State(flow.name, [])
        self._state.create(flow.name, flow.name, "Steps", "Running")
        self.save("Running")

    def step(self, name: str, phase: str = "Running", kind: str = "Pod", message: str = "") -> Node:
        """Begin a step."""
        node = self._state.create(f"{self.name}[0].{name}", name, kind, phase, boundary=self.name)
        node.template = name
        node.message = message
        self.save("Running")
        return node

    def end(self, node: Node, phase: str = "Succeeded", message: str = "") -> None:
        """End a step."""
        self._state.mark(node, phase, message)
        self.save("Running")

    def save(self, phase: str, message: str = "") -> None:
        """Write it down, the workflow in this phase."""
        outcome = self._state.outcome
        outcome.phase, outcome.message = phase, message
        outcome.started = outcome.started or time.time()
        outcome.finished = None if phase == "Running" else time.time()
        self._state._outcome_changed = True
        self._state.commit(self._journal)


@contextmanager
def board(world: World, **given: Any) -> Iterator[httpx.Client]:
    """A client of a board on a real socket, not logged in."""
    with ExitStack() as stack:
        others = str(stack.enter_context(serving(world.others())).base_url)
        urls = {
            f"{name}_url": others
            for name in ("mlflow", "train", "evaluate", "monitor", "arbiter", "notify", "labels")
        }
        values: dict[str, Any] = {"token": TOKEN, "state_dir": world.home / "board", "live_seconds": 0.1}
        settings = BoardSettings.read(**(values | urls | given))
        yield stack.enter_context(serving(create_app(settings, world.platform)))


def log_in(client: httpx.Client, name: str = "Ada") -> str:
    """Log in; returns the mark that forms carry."""
    done = client.post("/login", data={"name": name, "token": TOKEN})
    assert done.status_code == 303, done.text
    client.cookies.update(done.cookies)
    page = client.get("/submit", headers=PAGE)
    return page.text.split('name="csrf" value="')[1].split('"')[0]


def plain_run(nodes: list[Node], **changes: Any) -> Run:
    """A run of train-model with these nodes."""
    values: dict[str, Any] = {
        **{"name": "w", "phase": "Running", "message": "", "created": 1.0, "started": 1.0, "finished": None},
        **{"template": "train-model", "parameters": {}, "outputs": {}, "nodes": nodes, "engine": 1},
    }
    return Run(**(values | changes))


def parameter(name: str, value: str | None = "") -> Parameter:
    """A declared parameter."""
    return Parameter.model_validate({"name": name, "value": value})
