"""Starts and stops the platform on one machine: exactly the processes in its pid files, nothing by name."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from services.common.files import write_json
from workflows.infra.sites import sites_with_state
from workflows.local import services
from workflows.local.desired import read_tip
from workflows.local.members import (
    CRON,
    DEPLOYER,
    MEMBERS,
    PACKS,
    TARGETS_FILE,
    Member,
    Place,
    chosen_members,
    measured,
    with_ports,
)
from workflows.local.placement import choose_ports, place_environments
from workflows.local.policies import write_policies
from workflows.local.ports import PortChoice
from workflows.local.processes import (
    Process,
    leftovers,
    read_json,
    read_pid_file,
    spawn_detached,
    stop,
    write_pid_file,
)
from workflows.local.remote import ensure_remote
from workflows.local.services import Service
from workflows.local.serving import Record
from workflows.local.settings import SETTINGS_FILE, PlatformSettings
from workflows.local.sockets import address

Progress = Callable[[str, str], None]
STATE_FILE = "platform.json"
_POLL_SECONDS = 0.1
_FOLDERS = (
    "mlflow",
    "images",
    "runs",
    "train",
    "evaluate",
    "deploy",
    "monitor",
    "arbiter",
    "spool",
    "data",
    "config",
    "logs",
    "pids",
    "cache",
)


@dataclass(frozen=True)
class Started:
    """What `up` did.

    Attributes:
        ports: of the services.
        started: names of the processes that it started; the others ran already.
        moved: (application, environment) → new port.
    """

    ports: dict[str, int]
    started: list[str]
    moved: dict[tuple[str, str], int]


def up(
    settings: PlatformSettings,
    progress: Progress,
    choice: PortChoice = PortChoice.FIXED,
    *,
    wait: bool = True,
    packs: tuple[str, ...] = (),
) -> Started:
    """Brings the platform up; what runs already stays as it is.

    Args:
        progress: told (process, what happens).
        packs: what runs besides the core; parts that were added before and still run stay as they were started.

    Raises:
        Conflict: a port is taken; the message names it, its owner and what to do.
        InvalidInput: no git checkout to begin from, or a state folder that cannot be made.
        Unavailable: a process ended or was not ready in time; those started now are stopped again.
    """
    asked = chosen_members(packs)
    _make_folders(settings.home)
    with locked(settings.home):
        if ensure_remote(settings):
            progress("gitops", f"made {settings.gitops} from the checkout")
        _end_leftovers(settings, progress)
        kept = _added_before(settings)
        packs = tuple(dict.fromkeys([*packs, *(member.pack for member in kept)]))
        chosen = tuple(member for member in MEMBERS if member in asked or member in kept)
        ports = choose_ports(settings, known_ports(settings), choice, chosen)
        members = services.services(settings, ports, packs, chosen)
        moved = place_environments(settings, choice, set(ports.values()), own_pids(settings))
        write_policies(settings, read_tip(settings.gitops))
        state = {"ports": ports, "packs": packs, "repository": str(settings.repository)}
        write_json(settings.home / STATE_FILE, state)
        write_json(settings.home / "config" / "rookery.json", services.step_configuration(settings, ports))
        write_json(settings.home / TARGETS_FILE, measured(Place(settings, ports)))
        started = [service for service in members if service.running() is None]
        try:
            for service in started:
                _start(service)
                progress(service.name, "starts")
            if wait:
                _wait_ready(members, settings.start_seconds, progress)
        except BaseException:
            stop([process for service in started if (process := service.running())], settings.stop_seconds)
            raise
    return Started(ports, [service.name for service in started], moved)


def down(settings: PlatformSettings, progress: Progress) -> list[str]:
    """Stops every process of the platform; returns the names of those that ran.

    The deployer and the cron go first, so that nothing is started again; then everything else at once.
    """
    if not (settings.home / "pids").is_dir():
        return []
    with locked(settings.home):
        running = running_processes(settings)
        order = [[name for name in running if name in (DEPLOYER, CRON)]]
        order += [[name for name in running if name not in (DEPLOYER, CRON, services.SOCKETS)]]
        order += [[name for name in running if name == services.SOCKETS]]
        for names in order:
            for name in names:
                progress(name, "stops")
            killed = stop([running[name] for name in names], settings.stop_seconds)
            for name in names:
                progress(name, "killed" if running[name] in killed else "stopped")
        left = _end_leftovers(settings, progress)
        for path in (settings.home / "pids").glob("*.json"):
            path.unlink()
        shutil.rmtree(address(settings.home).parent, ignore_errors=True)
    return [*running, *left]


def purge(settings: PlatformSettings) -> bool:
    """Deletes the state folder; returns whether there was one.

    Raises:
        InvalidInput: it does not look like one, so nothing is deleted.
        Conflict: something of it still runs.
    """
    if not settings.home.exists():
        return False
    running = running_processes(settings)
    if running:
        raise Conflict(
            f"{', '.join(running)} still run, so nothing is deleted", allowed="`rookery down` first"
        )
    sites = sites_with_state(settings.home)
    if sites:
        raise Conflict(
            "machines of this state folder exist, and without it nobody knows them",
            value=sites,
            allowed="`rookery infra down SITE` first",
        )
    ours = (STATE_FILE, SETTINGS_FILE, "gitops.git", "pids")
    if not any((settings.home / name).exists() for name in ours) or (settings.home / ".git").exists():
        raise InvalidInput("this folder holds no platform, so it is not deleted", value=str(settings.home))
    shutil.rmtree(settings.home)
    return True


def known_ports(settings: PlatformSettings) -> dict[str, int]:
    """The ports of the last `up`; empty before the first."""
    ports = read_json(settings.home / STATE_FILE).get("ports")
    return {str(name): int(port) for name, port in ports.items()} if isinstance(ports, dict) else {}


def known_addresses(settings: PlatformSettings) -> dict[str, str]:
    """Name → address of the processes of the last `up` that answer HTTP; empty before the first."""
    place = Place(settings, known_ports(settings))
    return {name: place.url(name) for name in with_ports(_last_members(settings)) if name in place.ports}


def require_up(settings: PlatformSettings) -> dict[str, int]:
    """The ports of the running platform.

    Raises:
        Unavailable: a process of it does not run.
    """
    ports = known_ports(settings)
    missing = [
        service.name
        for service in (_last_services(settings, ports) if ports else [])
        if not service.running()
    ]
    if not ports or missing:
        what = (
            f"{', '.join(missing)} of the platform not running"
            if missing
            else "the platform was never started"
        )
        raise Unavailable(f"{what} in {settings.home}", allowed="`rookery up` first")
    return ports


def _last_services(settings: PlatformSettings, ports: dict[str, int]) -> list[Service]:
    """The processes of the last `up`; one that did not exist then is not missed."""
    missing = {name: 0 for name in with_ports(_last_members(settings)) if name not in ports}
    found = services.services(settings, missing | ports, _last_packs(settings))
    return [one for one in found if one.name not in missing]


def _last_members(settings: PlatformSettings) -> tuple[Member, ...]:
    return chosen_members(_last_packs(settings))


def _last_packs(settings: PlatformSettings) -> tuple[str, ...]:
    packs = read_json(settings.home / STATE_FILE).get("packs")
    return tuple(str(pack) for pack in packs if pack in PACKS) if isinstance(packs, list) else ()


def _added_before(settings: PlatformSettings) -> list[Member]:
    """What was started of the packs of which anything runs, whatever the environment of this command says."""
    started = {
        member.name: entry[0]
        for member in MEMBERS
        if member.pack and (entry := read_pid_file(settings.home / "pids" / f"{member.name}.json"))
    }
    running = {member.pack for member in MEMBERS if member.name in started and started[member.name].alive()}
    return [member for member in MEMBERS if member.name in started and member.pack in running]


def require_made(settings: PlatformSettings) -> None:
    """Pass when `up` was called once.

    Raises:
        NotFound: it was not.
    """
    if not (settings.gitops / "HEAD").exists():
        raise NotFound("there is no platform here", value=str(settings.home), allowed="`rookery up` first")


def missing_services(settings: PlatformSettings) -> list[str]:
    """Names of the processes that `up` started, nobody stopped, and that do not run."""
    found = []
    for member in MEMBERS:
        entry = read_pid_file(settings.home / "pids" / f"{member.name}.json")
        if entry and not entry[0].alive():
            found.append(member.name)
    return found


def running_processes(settings: PlatformSettings) -> dict[str, Process]:
    """Name → process of everything that runs for this home, the serving processes included."""
    found: dict[str, Process] = {}
    for path in sorted((settings.home / "pids").glob("*.json")):
        entry = read_pid_file(path)
        if entry and entry[0].alive():
            found[path.stem] = entry[0]
    for folder in sorted(settings.deploy.glob("*/*/processes.json")):
        for role, serving in Record(folder.parent).read().items():
            if serving.process.alive():
                where = f"serve-{serving.release.application}-{serving.release.environment}"
                found[where if role == "serving" else f"{where}-{role}"] = serving.process
    return found


def own_pids(settings: PlatformSettings) -> set[int]:
    """Pids that may hold our ports."""
    left = [process for found in _leftovers(settings).values() for process in found]
    return {process.pid for process in [*running_processes(settings).values(), *left]}


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time.

    Raises:
        NotFound: there is no such folder.
        Conflict: another one is at work.
    """
    if not home.is_dir():
        raise NotFound("there is no such folder", value=str(home))
    with (home / ".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another `rookery up` or `down` is at work in {home}") from error
        yield


def last_words(log: Path, lines: int = 5) -> str:
    """The end of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text[-lines:]) or "(an empty log)"


def _make_folders(home: Path) -> None:
    try:
        for name in _FOLDERS:
            (home / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"the state folder cannot be made: {error.strerror}",
            value=str(home),
            allowed="another folder in ROOKERY_HOME",
        ) from error


def _end_leftovers(settings: PlatformSettings, progress: Progress) -> list[str]:
    """Ends the children of processes that were killed, which may hold their ports; names of the processes."""
    left = _leftovers(settings)
    for name, found in left.items():
        progress(name, f"was killed; ends what it left: {', '.join(str(process.pid) for process in found)}")
    stop([process for found in left.values() for process in found], settings.stop_seconds)
    return list(left)


def _leftovers(settings: PlatformSettings) -> dict[str, list[Process]]:
    """Name of a process that was killed → its children that still run."""
    left: dict[str, list[Process]] = {}
    for path in sorted((settings.home / "pids").glob("*.json")):
        entry = read_pid_file(path)
        found = leftovers(entry[0], str(entry[1].get("mark", ""))) if entry else []
        if found:
            left[path.stem] = found
    return left


def _start(service: Service) -> None:
    mark = secrets.token_hex(16)
    process = spawn_detached(service.argv, log=service.log, env=service.env, cwd=service.home, mark=mark)
    write_pid_file(service.pid_file, process, port=service.port, command=" ".join(service.argv), mark=mark)


def _wait_ready(members: Sequence[Service], seconds: float, progress: Progress) -> None:
    began = time.monotonic()
    waiting = list(members)
    while waiting:
        for service in list(waiting):
            if service.is_ready():
                progress(service.name, f"ready after {time.monotonic() - began:.1f} s")
                waiting.remove(service)
            elif service.running() is None:
                raise Unavailable(
                    f"{service.name} ended while it started; {service.log}:\n{last_words(service.log)}"
                )
        passed = time.monotonic() - began
        late = [service for service in waiting if passed > max(seconds, service.patience)]
        if late:
            names = ", ".join(service.name for service in late)
            raise Unavailable(
                f"{names} not ready within {passed:.0f} s; {late[0].log}:\n{last_words(late[0].log)}",
                allowed="a longer wait with ROOKERY_START_SECONDS",
            )
        if waiting:
            time.sleep(_POLL_SECONDS)
