"""`up`, `down`, `status`, `doctor`: the platform on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.common.digest import short
from services.common.errors import InvalidInput
from workflows.commands.console import console, hint, local_time, print_json, print_table, say
from workflows.commands.options import Cluster, Context, Json, complete_application, settings
from workflows.commands.workplace import cluster_site
from workflows.local.ports import PortChoice

if TYPE_CHECKING:
    from workflows.local.status import EnvironmentStatus

PANEL = "Platform"
_NARROW = 120


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(rich_help_panel=PANEL)(up)
    app.command(rich_help_panel=PANEL)(down)
    app.command(rich_help_panel=PANEL)(status)
    app.command(rich_help_panel=PANEL)(doctor)


def up(
    ports: Annotated[
        PortChoice,
        typer.Option(
            help="fixed: refuse when a port is taken. auto: move what is taken. random: free ports for everything."
        ),
    ] = PortChoice.FIXED,
    besides: Annotated[
        str, typer.Option("--with", help="Parts that run only when asked for, with commas between.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Start the platform: MLflow, git remote, deployer, schedules, and the services from train to board.

    What runs already stays as it is, so it can be called at any time.

    Examples:

        rookery up

        rookery up --ports auto
    """
    from workflows.local import platform, remote

    chosen = settings()

    def tell(name: str, what: str) -> None:
        if not as_json:
            say(f"{name:<10} {what}")

    packs = tuple(part.strip() for part in besides.split(",") if part.strip())
    began = platform.up(chosen, tell, ports, packs=packs)
    notes = remote.newer_in_checkout(chosen)
    if as_json:
        moved = {" ".join(place): port for place, port in began.moved.items()}
        print_json({"home": str(chosen.home), "ports": began.ports, "started": began.started, "moved": moved})
    else:
        if not began.started:
            say("already running")
        for (application, environment), port in began.moved.items():
            say(f"{application} {environment} moved to port {port}, by a commit to the GitOps remote")
        for name, port in began.ports.items():
            token = chosen.home / name / "token"
            more = f"  (token in {token})" if name == "board" and token.is_file() else ""
            say(f"{name:<10} http://127.0.0.1:{port}{more}")
        say(f"{'gitops':<10} {chosen.gitops}")
    for line in notes:
        hint(line)


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete the state folder too: runs, models, images, git.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --purge.")] = False,
) -> None:
    """Stop the platform: exactly the processes that it started, serving processes included.

    Examples:

        rookery down

        rookery down --purge --yes
    """
    from workflows.local import engine_runs, platform

    chosen = settings()
    if purge and not yes:
        if not console().is_terminal:
            raise InvalidInput(
                "--purge deletes everything and nobody can be asked here", allowed="--purge --yes"
            )
        typer.confirm(f"Delete {chosen.home} with all runs, models and releases?", abort=True)
    for name in engine_runs.stop_all(chosen):
        say(f"{name:<10} stopped; `rookery resume {name}` goes on with it")
    stopped = platform.down(chosen, lambda name, what: say(f"{name:<10} {what}"))
    if not stopped:
        say("nothing was running")
    if purge:
        gone = platform.purge(chosen)
        say(f"deleted {chosen.home}" if gone else f"nothing to delete: there is no {chosen.home}")


def status(
    application: Annotated[
        str | None,
        typer.Option("--application", "-a", help="Only this one.", autocompletion=complete_application),
    ] = None,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """What each environment runs, since when, how good it is, and whether memory is what git says.

    The exit code is 1 when an environment failed, is not healthy or differs from git, or when a process of the
    platform that was started does not run.

    Examples:

        rookery status

        rookery status --json | jq '.environments[] | select(.drift != "")'

        rookery status --cluster
    """
    if cluster or context:
        _status_there(application, context, as_json)
        return
    from workflows.local import platform
    from workflows.local.status import environment_statuses

    chosen = settings()
    platform.require_made(chosen)
    found = environment_statuses(chosen, application)
    running = platform.running_processes(chosen)
    missing = platform.missing_services(chosen)
    ports = platform.known_ports(chosen)
    if as_json:
        processes = {name: process.pid for name, process in running.items()}
        print_json(
            {
                "ports": ports,
                "processes": processes,
                "missing": missing,
                "environments": [one.as_dict() for one in found],
            }
        )
    else:
        _print_environments(found)
        names = ", ".join(name for name in running if not name.startswith("serve-"))
        say(f"\nrunning: {names or 'nothing; `rookery up` starts the platform'}")
        if missing:
            say(f"not running: {', '.join(missing)}", "red")
        if "mlflow" in running and "mlflow" in ports:
            say(f"{'mlflow':<22} http://127.0.0.1:{ports['mlflow']}/#/experiments")
        for one in found:
            if one.health == "ok":
                say(f"{f'{one.application} {one.environment}':<22} {one.url}")
    if missing or not all(one.good for one in found):
        raise typer.Exit(1)


def _status_there(application: str | None, context: str | None, as_json: bool) -> None:
    from workflows.cluster.environments import environment_statuses

    with cluster_site(context) as site:
        found = environment_statuses(site, application)
        name = site.kube.access.context
    if as_json:
        print_json({"context": name, "environments": [one.as_dict() for one in found]})
    else:
        _print_environments(found)
        say(f"\ncluster: {name}")
    if not all(one.good for one in found):
        raise typer.Exit(1)


def _print_environments(found: list[EnvironmentStatus]) -> None:
    columns = {
        "application": [one.application for one in found],
        "environment": [one.environment for one in found],
        "state": [one.phase + (", quarantined" if one.quarantined else "") for one in found],
        "version": [one.version for one in found],
        "digest": [short(one.digest or one.memory) for one in found],
        "metric": [
            f"{one.metric} {one.metric_value:.4f}" if one.metric_value is not None else "" for one in found
        ],
        "since": [local_time(one.since) for one in found],
        "health": [one.health for one in found],
        "drift": [one.drift or ("none" if one.digest else "") for one in found],
    }
    if console().width < _NARROW:
        columns = {
            "environment": [f"{one.application} {one.environment}" for one in found],
            "state": columns["state"],
            "v": columns["version"],
            "digest": columns["digest"],
            "since": [moment.rpartition(":")[0] for moment in columns["since"]],
            "drift": columns["drift"],
        }
    print_table(tuple(columns), list(zip(*columns.values(), strict=True)), whole=("digest", "since"))
    for one in found:
        if one.reason and one.phase != "empty":
            hint(f"{one.application} {one.environment}: {one.reason}")
        if one.quarantined:
            hint(f"{one.application} {one.environment}: in quarantine: {one.quarantined}")


def doctor(as_json: Json = False) -> None:
    """Check what the platform needs and has: interpreters, packages, disk, ports, git, state, images.

    Each finding says what to do. The exit code is 1 when something must be done.

    Examples:

        rookery doctor
    """
    from workflows.local.doctor import examine

    findings = list(examine(settings()))
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        print_table(
            ("", "what", "found", "do"),
            [(finding.verdict, finding.what, finding.found, finding.advice) for finding in findings],
        )
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(1)
