"""`submit`, `runs`, `logs`, `resume`, `cancel`, `approve`: workflows on the local engine or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.common.errors import InvalidInput, NotFound, Refused, RookeryError
from workflows.commands.console import duration, fail, hint, local_time, print_json, print_table, say
from workflows.commands.options import (
    Cluster,
    Context,
    Json,
    RunName,
    complete_run,
    complete_template,
    user,
)
from workflows.commands.templates import parse_parameters
from workflows.commands.watching import first_line, follow, phase_of, run_as_dict, seconds_of
from workflows.commands.workplace import Workplace, workplace

PANEL = "Workflows"
WRONG_USAGE = 2
Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        "-w",
        help="Wait for the end. The exit code is 0 if it succeeded, 3 if the first step that failed exited with 3 "
        "(a refusal or a wrong value), else 1.",
    ),
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Wait, as --wait does, and show the steps and what they print.")
]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    for command in (submit, runs, logs, resume, cancel, approve):
        app.command(rich_help_panel=PANEL)(command)


def submit(
    template: Annotated[
        str | None, typer.Argument(help="Name of a workflow template.", autocompletion=complete_template)
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Any workflow in YAML instead of a template of ours.")
    ] = None,
    host_image: Annotated[
        list[str] | None,
        typer.Option(
            "--host-image",
            metavar="PATTERN",
            help="Images besides rookery/* whose commands run on this machine, such as 'python:*'; may be repeated.",
        ),
    ] = None,
    wait: Wait = False,
    watch: Watch = False,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Run a workflow: one of our templates, or any file.

    A file that uses what the local engine does not support is refused by the name of it, before anything runs.
    The exit code is 2 when the workflow or its parameters are refused so.

    Examples:

        rookery submit train-model -p application=digits -p model-name=cnn -p epochs=10 --watch

        rookery submit promote-model -p source-environment=staging -p target-environment=canary -p model-version=3

        rookery submit --file workflow.yaml --host-image 'python:*' --wait

        rookery submit train-model -p application=digits --cluster --watch
    """
    with workplace(cluster, context) as place:
        try:
            name = _send(place, template, file, parameter or [], host_image or [])
        except (InvalidInput, NotFound) as error:
            fail(str(error))
            raise typer.Exit(WRONG_USAGE) from error
        conclude(place, name, wait=wait, watch=watch, as_json=as_json)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """List the workflows that ran or run here, or on a cluster.

    Examples:

        rookery runs

        rookery runs --json | jq -r '.[] | select(.phase == "Failed") | .name'
    """
    with workplace(cluster, context) as place:
        found = place.recent(limit)
        if as_json:
            print_json([run_as_dict(run, place) for run in found])
            return
        rows = [
            (
                run.name,
                phase_of(run),
                local_time(run.started),
                duration(seconds_of(run)),
                first_line(place.reason(run)),
            )
            for run in found
        ]
    print_table(("name", "phase", "started", "took", "reason"), rows)


def logs(
    name: RunName,
    node: Annotated[str | None, typer.Option("--step", help="Only this step.")] = None,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the workflow ends.")] = False,
    cluster: Cluster = False,
    context: Context = None,
) -> None:
    """Show what the steps of a workflow printed.

    Examples:

        rookery logs train-model-x7k2p --follow

        rookery logs train-model-x7k2p --step evaluate
    """
    with workplace(cluster, context) as place:
        for line in place.logs(name, node=node, follow=follow_):
            say(line.text if node else f"{line.node}: {line.text}")


def resume(
    name: RunName,
    wait: Wait = False,
    watch: Watch = False,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Go on with a workflow whose engine is gone, such as after a restart of this machine.

    Steps that finished do not run again; a step whose process still runs is taken up, and one whose process is gone
    runs again. A workflow that has ended is not resumed: submit it anew. On a cluster the controller goes on by
    itself; there this lets a workflow go on that was suspended as a whole.

    Examples:

        rookery resume train-model-x7k2p --watch
    """
    with workplace(cluster, context) as place:
        place.resume(name)
        conclude(place, name, wait=wait, watch=watch, as_json=as_json)


def cancel(name: RunName, cluster: Cluster = False, context: Context = None) -> None:
    """Stop a workflow; its exit handler still runs.

    Examples:

        rookery cancel train-model-x7k2p
    """
    with workplace(cluster, context) as place:
        place.cancel(name)
    say(f"{name} is told to stop")


def approve(
    name: Annotated[str, typer.Argument(help="The workflow that waits.", autocompletion=complete_run)],
    node: Annotated[
        str | None, typer.Option("--step", help="The waiting step, if there are several.")
    ] = None,
    cluster: Cluster = False,
    context: Context = None,
) -> None:
    """Let a workflow go on that waits for an approval.

    Examples:

        rookery approve promote-model-x7k2p
    """
    with workplace(cluster, context) as place:
        place.approve(name, node, by=user())
    say(f"{name} goes on")


def conclude(place: Workplace, name: str, *, wait: bool, watch: bool, as_json: bool) -> None:
    """Says the name, or waits for the end.

    Raises:
        Refused: a step of it said no.
        RookeryError: it failed otherwise.
    """
    from workflows.local.runs import was_refused

    if not (wait or watch):
        if as_json:
            print_json(run_as_dict(place.get(name), place))
        else:
            say(name)
        return
    if not as_json:
        say(name)
    try:
        run = follow(place, name, show=watch and not as_json)
    except KeyboardInterrupt:
        hint(
            f"{name} goes on: `rookery logs {name} --follow{place.option}` shows it, "
            f"`rookery cancel {name}{place.option}` stops it"
        )
        raise
    if as_json:
        print_json(run_as_dict(run, place))
    if run.phase != "Succeeded":
        message = (
            f"{name} ended {run.phase}: {place.reason(run)} (all of it: rookery logs {name}{place.option})"
        )
        raise Refused(message) if was_refused(run) else RookeryError(message)
    if not as_json:
        say(f"{name} {run.phase} after {duration(seconds_of(run))}")


def _send(
    place: Workplace, template: str | None, file: Path | None, given: list[str], images: list[str]
) -> str:
    if template is not None and file is None:
        parameters = parse_parameters(given, hyphens=True)
        if place.takes_requester(template):
            parameters = {"requested-by": user()} | parameters
        return place.submit_template(template, parameters)
    if file is not None and template is None:
        return place.submit_file(file, parse_parameters(given), images)
    raise InvalidInput("give either the name of a template or --file", value=template or file)
