"""`python -m workflows.local.cron`: runs the rendered CronWorkflows on this machine, as Argo's controller does there.

A run is named after the minute that it was due at, so no minute is run twice, whatever ends in between. What was due
while nobody ran is caught up once, if it is not older than `startingDeadlineSeconds`.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import Conflict, InvalidInput, RookeryError
from services.common.files import write_json
from workflows.local import control
from workflows.local.manifest import read_yaml
from workflows.local.processes import read_json
from workflows.local.runs import Run, get_run, run_folder, run_names
from workflows.local.schedule import Schedule, parse_schedule
from workflows.local.settings import PlatformSettings, load_settings
from workflows.local.templates import TemplateStore
from workflows.render import CRON_FOLDER, RENDERED

FOLDER = "cron"
_POLL_SECONDS = 5.0
# A clock that was ahead by more does not hold back what is due until it is reached again.
_LONGEST_STEP = timedelta(days=1)
_log = logging.getLogger(__name__)


class _Reference(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    value: str


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    parameters: list[_Value] = Field(default_factory=list)


class _WorkflowSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    template: _Reference = Field(alias="workflowTemplateRef")
    arguments: _Arguments = Field(default_factory=_Arguments)


class CronSpec(BaseModel):
    """What of a CronWorkflow runs here; anything else is refused by its name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schedules: list[str] = Field(min_length=1)
    timezone: str = "Etc/UTC"
    suspend: bool = False
    concurrency: Literal["Allow", "Forbid", "Replace"] = Field("Allow", alias="concurrencyPolicy")
    deadline: int = Field(0, ge=0, alias="startingDeadlineSeconds")
    keep_good: int = Field(3, ge=0, alias="successfulJobsHistoryLimit")
    keep_bad: int = Field(1, ge=0, alias="failedJobsHistoryLimit")
    workflow: _WorkflowSpec = Field(alias="workflowSpec")


@dataclass(frozen=True)
class Cron:
    """One CronWorkflow."""

    name: str
    spec: CronSpec
    schedules: tuple[Schedule, ...]
    zone: ZoneInfo

    def last_due(self, now: datetime, since: datetime) -> datetime | None:
        """The newest time after `since` at which it was due, not older than its deadline allows."""
        since = max(since, now - timedelta(seconds=max(self.spec.deadline, 60)))
        local, begin = now.astimezone(self.zone), since.astimezone(self.zone)
        found = [at for schedule in self.schedules if (at := schedule.last(local, begin)) is not None]
        return max(found).astimezone(UTC) if found else None


def read_crons(folder: Path) -> list[Cron]:
    """The CronWorkflows of a folder.

    Raises:
        InvalidInput: one that cannot run here, with what of it.
    """
    found = []
    for path in sorted(folder.glob("*.yaml")):
        for document in read_yaml(path.read_text(encoding="utf-8"), path.name):
            if document.get("kind") == "CronWorkflow":
                found.append(_parse(document, path.name))
    return found


def _parse(document: dict[str, Any], source: str) -> Cron:
    try:
        spec = CronSpec.model_validate(document["spec"])
        zone = ZoneInfo(spec.timezone)
        schedules = tuple(parse_schedule(text) for text in spec.schedules)
        return Cron(str(document["metadata"]["name"]), spec, schedules, zone)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{source}: spec.{where}: {first['msg']}", value=first["input"]) from error
    except (ZoneInfoNotFoundError, KeyError, ValueError) as error:
        raise InvalidInput(f"{source} is no CronWorkflow that runs here: {error}") from error


class Crons:
    """All CronWorkflows of a folder, looked at again and again."""

    def __init__(self, settings: PlatformSettings, folder: Path) -> None:
        self._home, self._folder = settings.home, folder
        self._state = settings.home / FOLDER / "state.json"
        self._store = TemplateStore(folder.parent)
        self.crons = read_crons(folder)

    def step(self, now: datetime) -> list[str]:
        """Submit what is due; names of the runs begun."""
        state = {str(name): str(value) for name, value in read_json(self._state).items()}
        begun = []
        for cron in self.crons:
            # A clock that was set back fires nothing again: only what is after the last one is due.
            since = datetime.fromisoformat(state[cron.name]) if cron.name in state else now
            if since - now > _LONGEST_STEP:
                _log.warning("the clock said %s before; %s goes on from now", since, cron.name)
                since = now
                del state[cron.name]
            due = None if cron.spec.suspend else cron.last_due(now, since)
            if due is not None:
                # Written down afterwards: who dies in between finds the run of that minute, or none, and begins it.
                begun += self._submit(cron, due)
                state[cron.name] = due.isoformat()
                write_json(self._state, state)
            elif cron.name not in state:
                state[cron.name] = now.isoformat()
                write_json(self._state, state)
            self._forget(cron)
        return begun

    def _submit(self, cron: Cron, due: datetime) -> list[str]:
        running = [run for run in self._runs(cron) if not run.done]
        if running and cron.spec.concurrency == "Forbid":
            _log.info("%s is due and %s still runs, so it is left out", cron.name, running[0].name)
            return []
        if cron.spec.concurrency == "Replace":
            for run in running:
                control.cancel(self._home, run.name)
        name = f"{cron.name}-{int(due.timestamp())}"
        given = {item.name: item.value for item in cron.spec.workflow.arguments.parameters}
        try:
            control.submit(
                cron.spec.workflow.template.name, given, home=self._home, templates=self._store, name=name
            )
        except Conflict:
            return []
        _log.info("%s begins", name)
        return [name]

    def _runs(self, cron: Cron) -> list[Run]:
        """Its runs, the newest first."""
        prefix = f"{cron.name}-"
        names = [
            one
            for one in run_names(self._home)
            if one.startswith(prefix) and one.removeprefix(prefix).isdigit()
        ]
        found = []
        for name in sorted(names, reverse=True):
            try:
                found.append(get_run(self._home, name))
            except (RookeryError, FileNotFoundError):
                continue
        return found

    def _forget(self, cron: Cron) -> None:
        ended = [run for run in self._runs(cron) if run.done and run.engine is None]
        good = [run for run in ended if run.phase == "Succeeded"]
        bad = [run for run in ended if run.phase != "Succeeded"]
        for run in [*good[cron.spec.keep_good :], *bad[cron.spec.keep_bad :]]:
            shutil.rmtree(run_folder(self._home, run.name).path, ignore_errors=True)


def main() -> int:
    """Runs until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        settings = load_settings()
        place = settings.home / FOLDER
        place.mkdir(parents=True, exist_ok=True)
        crons = Crons(settings, RENDERED / CRON_FOLDER)
    except RookeryError as error:
        _log.error("%s", error)
        return 1
    (place / "ready").write_text(str(os.getpid()))
    while not ended.wait(_POLL_SECONDS):
        if not settings.cron:
            continue
        try:
            crons.step(datetime.now(UTC))
        except (RookeryError, OSError) as error:
            _log.warning("%s; will try again", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
