"""`submit`, `runs`, `logs`, `resume`, `cancel`, `approve`: workflows on the local engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.common.errors import InvalidInput, NotFound, Refused, RookeryError
from workflows.commands.console import duration, fail, local_time, print_json, print_table, say
from workflows.commands.options import Json, RunName, complete_run, complete_template, settings, user
from workflows.commands.templates import RENDERED, parse_parameters, template_names
from workflows.commands.watching import first_line, follow, phase_of, run_as_dict, seconds_of
from workflows.local.settings import PlatformSettings

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
    as_json: Json = False,
) -> None:
    """Run a workflow: one of our templates, or any file.

    A file that uses what the local engine does not support is refused by the name of it, before anything runs.
    The exit code is 2 when the workflow or its parameters are refused so.

    Examples:

        rookery submit train-model -p application=digits -p model-name=cnn -p epochs=10 --watch

        rookery submit promote-model -p source-environment=staging -p target-environment=canary -p model-version=3

        rookery submit --file workflow.yaml --host-image 'python:*' --wait
    """
    chosen = settings()
    try:
        name = _send(chosen, template, file, parameter or [], host_image or [])
    except (InvalidInput, NotFound) as error:
        fail(str(error))
        raise typer.Exit(WRONG_USAGE) from error
    conclude(chosen, name, wait=wait, watch=watch, as_json=as_json)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List the workflows that ran or run here.

    Examples:

        rookery runs

        rookery runs --json | jq -r '.[] | select(.phase == "Failed") | .name'
    """
    from workflows.local.runs import list_runs, reason

    home = settings().home
    found = list_runs(home)[:limit]
    if as_json:
        print_json([run_as_dict(run, home) for run in found])
        return
    rows = [
        (
            run.name,
            phase_of(run),
            local_time(run.started),
            duration(seconds_of(run)),
            first_line(reason(home, run)),
        )
        for run in found
    ]
    print_table(("name", "phase", "started", "took", "reason"), rows)


def logs(
    name: RunName,
    node: Annotated[str | None, typer.Option("--step", help="Only this step.")] = None,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the workflow ends.")] = False,
) -> None:
    """Show what the steps of a workflow printed.

    Examples:

        rookery logs train-model-x7k2p --follow

        rookery logs train-model-x7k2p --step evaluate
    """
    from workflows.local.runs import logs as read_logs

    for line in read_logs(settings().home, name, node=node, follow=follow_):
        say(line.text if node else f"{line.node}: {line.text}")


def resume(name: RunName, wait: Wait = False, watch: Watch = False, as_json: Json = False) -> None:
    """Go on with a workflow whose engine is gone, such as after a restart of this machine.

    Steps that finished do not run again; a step whose process still runs is taken up, and one whose process is gone
    runs again. A workflow that has ended is not resumed: submit it anew.

    Examples:

        rookery resume train-model-x7k2p --watch
    """
    from workflows.local import control

    chosen = settings()
    control.resume(chosen.home, name)
    conclude(chosen, name, wait=wait, watch=watch, as_json=as_json)


def cancel(name: RunName) -> None:
    """Stop a workflow; its exit handler still runs.

    Examples:

        rookery cancel train-model-x7k2p
    """
    from workflows.local import control

    control.cancel(settings().home, name)
    say(f"{name} is told to stop")


def approve(
    name: Annotated[str, typer.Argument(help="The workflow that waits.", autocompletion=complete_run)],
    node: Annotated[
        str | None, typer.Option("--step", help="The waiting step, if there are several.")
    ] = None,
) -> None:
    """Let a workflow go on that waits for an approval.

    Examples:

        rookery approve promote-model-x7k2p
    """
    from workflows.local import control

    control.approve(settings().home, name, node, by=user())
    say(f"{name} goes on")


def conclude(chosen: PlatformSettings, name: str, *, wait: bool, watch: bool, as_json: bool) -> None:
    """Says the name, or waits for the end.

    Raises:
        Refused: a step of it said no.
        RookeryError: it failed otherwise.
    """
    from workflows.local.runs import failed_step, get_run, root_cause
    from workflows.steps.outcome import REFUSED_EXIT_CODE

    if not (wait or watch):
        if as_json:
            print_json(run_as_dict(get_run(chosen.home, name), chosen.home))
        else:
            say(name)
        return
    if not as_json:
        say(name)
    run = follow(chosen.home, name, show=watch and not as_json)
    if as_json:
        print_json(run_as_dict(run, chosen.home))
    if run.phase != "Succeeded":
        step = failed_step(run)
        refused = step is not None and step.exit_code == str(REFUSED_EXIT_CODE)
        message = f"{name} ended {run.phase}: {root_cause(chosen.home, run)} (all of it: rookery logs {name})"
        raise Refused(message) if refused else RookeryError(message)
    if not as_json:
        say(f"{name} {run.phase} after {duration(seconds_of(run))}")


def _send(
    chosen: PlatformSettings, template: str | None, file: Path | None, given: list[str], images: list[str]
) -> str:
    from workflows.local import control
    from workflows.local.models import nearest
    from workflows.local.platform import require_up
    from workflows.local.templates import TemplateStore

    manifest: str | Path
    if template is not None and file is None:
        names = template_names()
        if template not in names:
            hint = nearest(template, names)
            allowed = f"{', '.join(names)}{f' ({hint})' if hint else ''}"
            raise NotFound("there is no such workflow template", value=template, allowed=allowed)
        manifest, parameters = template, _with_user(template, parse_parameters(given, hyphens=True))
        require_up(chosen)
    elif file is not None and template is None:
        manifest, parameters = file, parse_parameters(given)
    else:
        raise InvalidInput("give either the name of a template or --file", value=template or file)
    store = TemplateStore(RENDERED)
    return control.submit(manifest, parameters, home=chosen.home, templates=store, host_images=images)


def _with_user(template: str, parameters: dict[str, str]) -> dict[str, str]:
    text = (RENDERED / f"{template}.yaml").read_text()
    return {"requested-by": user()} | parameters if "name: requested-by" in text else parameters
