"""`rookery demo`: from real data to production on one machine, what a poor model meets, and a rollback."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from services.common.digest import short
from services.common.errors import Refused, RookeryError
from workflows.commands.console import duration, local_time, print_table, say
from workflows.commands.options import user
from workflows.commands.templates import RENDERED
from workflows.commands.watching import follow, seconds_of
from workflows.commands.workplace import Here
from workflows.local import control, engine_runs, platform
from workflows.local.members import BOARD, EVALUATE, HOST, MLFLOW
from workflows.local.ports import PortChoice
from workflows.local.runs import Run, logs
from workflows.local.settings import PlatformSettings
from workflows.local.status import EnvironmentStatus, environment_statuses
from workflows.local.templates import TemplateStore

APPLICATION = "digits"
GOOD = {"epochs": "8"}
BETTER = {"epochs": "8", "seed": "1"}
POOR = {"epochs": "1", "label-noise": "0.9"}
_REPORT = re.compile(r"https?://\S+/reports/\w+")
_REASON = "the demo goes back to the version before"


def run_demo(settings: PlatformSettings, ports: PortChoice, *, keep: bool) -> None:
    """Plays the whole story; stops at the end what it started, also after Ctrl-C or a failure.

    Args:
        keep: leave the platform running.

    Raises:
        Refused: a workflow ended otherwise than the story has it.
        RookeryError: the platform cannot be started.
    """
    began = time.monotonic()
    with _platform(settings, ports, keep=keep) as running_before:
        story = Story(settings)
        story.play()
        _conclude(settings, time.monotonic() - began, running=keep or running_before)


@contextmanager
def _platform(settings: PlatformSettings, ports: PortChoice, *, keep: bool) -> Iterator[bool]:
    before = signal.signal(signal.SIGTERM, _interrupt)
    running_before = bool(platform.running_processes(settings))
    _chapter(
        "The platform starts: MLflow, a git remote, a deployer, and the services from training to the board"
    )
    done = False
    try:
        platform.up(settings, lambda name, what: say(f"  {name:<10} {what}"), ports)
        yield running_before
        done = True
    finally:
        signal.signal(signal.SIGTERM, before)
        if not running_before and not (keep and done):
            _chapter("The platform stops; its state stays in " + str(settings.home))
            with suppress(RookeryError):
                engine_runs.stop_all(settings)
            platform.down(settings, lambda *_: None)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


class Story:
    """The chapters, in order."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._templates = TemplateStore(RENDERED)
        self._open: list[str] = []

    def play(self) -> None:
        """Plays all; workflows that are still at work when something fails are cancelled."""
        try:
            self._play()
        except BaseException:
            for name in self._open:
                with suppress(RookeryError):
                    control.cancel(self._settings.home, name)
            raise

    def _play(self) -> None:
        _chapter(
            "A model is trained on real scans of digits, judged, packed, released to staging and verified"
        )
        first = self._submit("train-model", GOOD)
        self._succeed(first)
        version = self._version("staging")
        _chapter(f"Version {version} goes to canary and production: the same bytes, one commit each")
        # The next model trains meanwhile.
        second = self._submit("train-model", BETTER)
        self._promote("staging", "canary", version)
        self._promote("canary", "production", version)
        _chapter("A second model follows it")
        self._succeed(second)
        version = self._version("staging")
        poor = self._submit("train-model", POOR)
        self._promote("staging", "canary", version)
        self._promote("canary", "production", version)
        _chapter("A model that was trained on wrong labels meets the gate")
        self._refuse(poor)
        _chapter("Production goes back to the version before")
        self._roll_back()

    def _submit(self, template: str, parameters: Mapping[str, str]) -> str:
        given = {"application": APPLICATION, "requested-by": user(), **parameters}
        name = control.submit(template, given, home=self._settings.home, templates=self._templates)
        self._open.append(name)
        return name

    def _follow(self, name: str) -> Run:
        run = follow(Here(self._settings), name)
        self._open.remove(name)
        return run

    def _succeed(self, name: str) -> None:
        run = self._follow(name)
        if run.phase != "Succeeded":
            raise Refused(f"{name} ended {run.phase}: {run.message}", allowed=f"look: rookery logs {name}")
        say(f"  {name} took {duration(seconds_of(run))}", "dim")

    def _promote(self, source: str, target: str, version: str) -> None:
        places = {"source-environment": source, "target-environment": target, "model-version": version}
        self._succeed(self._submit("promote-model", places))

    def _refuse(self, name: str) -> None:
        before = self._environment("production")
        run = self._follow(name)
        reasons = [line.text for line in logs(self._settings.home, name) if _is_reason(line.text)]
        if run.phase == "Succeeded" or not reasons:
            raise Refused(f"the gate should have refused {name}, which ended {run.phase}: {run.message}")
        for reason in reasons:
            say(f"  {reason}", "yellow")
        if report := _REPORT.search(run.message):
            say(f"  the whole report: {report.group()}")
        after = self._environment("production")
        if (before.memory, before.digest) != (after.memory, after.digest):
            raise Refused(f"production changed from {before.memory} to {after.memory}")
        say(f"  production is untouched: version {after.version}, image {short(after.memory)}", "green")

    def _roll_back(self) -> None:
        before = self._version("production")
        name = self._submit("rollback-model", {"environment": "production", "reason": _REASON})
        self._succeed(name)
        after = self._environment("production")
        if after.version == before or after.drift:
            raise Refused(f"production still runs version {before}: {after.drift}")
        say(f"  production: version {before} left, version {after.version} serves again", "green")

    def _environment(self, name: str) -> EnvironmentStatus:
        found = environment_statuses(self._settings, APPLICATION)
        return next(one for one in found if one.environment == name)

    def _version(self, environment: str) -> str:
        return self._environment(environment).version


def _is_reason(line: str) -> bool:
    return line.startswith("refused: ") and "the gate refused run" not in line


def _chapter(title: str) -> None:
    say()
    say(title, "bold")


def _conclude(settings: PlatformSettings, seconds: float, *, running: bool) -> None:
    found = environment_statuses(settings, APPLICATION)
    say()
    rows = [
        (
            *(one.environment, one.version, one.digest, f"{one.metric} {one.metric_value or 0:.4f}"),
            *(local_time(one.since), one.url),
        )
        for one in found
    ]
    print_table(("environment", "version", "digest", "metric", "since", "page"), rows)
    ports = platform.known_ports(settings)
    say()
    say(f"{'board':<22} http://{HOST}:{ports[BOARD]}  (token in {settings.home / BOARD / 'token'})")
    say(f"{'MLflow':<22} http://{HOST}:{ports[MLFLOW]}")
    for one in found:
        say(f"{'report of ' + one.environment:<22} http://{HOST}:{ports[EVALUATE]}/reports/{one.run_id}")
    say(f"{'git remote':<22} {settings.gitops}")
    if not running:
        say("The pages answer after `rookery up`; `rookery demo --keep` leaves them running.")
    say(f"done in {duration(seconds)}", "bold green")
