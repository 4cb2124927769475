"""`render`, `app`, `demo`: what one does around the platform."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.common.errors import Refused
from workflows.commands.console import print_json, print_table, say
from workflows.commands.options import Json, Repository, settings, tree_of
from workflows.local.ports import PortChoice

PANEL = "Upkeep"
app_commands = typer.Typer(no_args_is_help=True, help="Applications: what is classified and served.")


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command(rich_help_panel=PANEL)(demo)
    app.command(rich_help_panel=PANEL)(render)
    app.add_typer(app_commands, name="app", rich_help_panel=PANEL)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
    ports: Annotated[PortChoice, typer.Option(help="As of `rookery up`.")] = PortChoice.AUTO,
) -> None:
    """From real data to production on this machine, in under three minutes: digits trained, judged, packed, promoted.

    Then a poor model meets the gate, and production is rolled back. What it started is stopped at the end.

    Examples:

        rookery demo

        rookery demo --keep
    """
    from workflows.demo import run_demo

    run_demo(settings(), ports, keep=keep)


def render(
    folder: Annotated[Path | None, typer.Option(help="Where to write. Default: workflows/rendered.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if something would change.")
    ] = False,
) -> None:
    """Write the YAML of every workflow template, as it is committed and synced by Argo CD.

    Examples:

        rookery render

        rookery render --check
    """
    from workflows import render as rendering

    target = folder or rendering.RENDERED
    if not check:
        for path in rendering.write(target):
            say(f"{'wrote' if path.exists() else 'removed'} {path}")
        return
    files = rendering.rendered()
    stale = [
        name
        for name, text in files.items()
        if not (target / name).exists() or (target / name).read_text() != text
    ]
    stale += [path.name for path in target.glob("*.yaml") if path.name not in files]
    for name in stale:
        former = (target / name).read_text() if (target / name).exists() else ""
        for line in difflib.unified_diff(
            former.splitlines(), files.get(name, "").splitlines(), name, name, lineterm=""
        ):
            say(line)
    if stale:
        raise Refused(
            "the committed YAML is not what the templates render to", value=stale, allowed="`rookery render`"
        )


@app_commands.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    data_source: Annotated[
        str, typer.Option(help="digits, synthetic-birds, a folder, or s3://bucket/prefix.")
    ],
    model_name: Annotated[
        str,
        typer.Option(
            help="Family to train, such as resnet18. Default: cnn for pictures, mel-cnn for sounds."
        ),
    ] = "",
    kind: Annotated[
        Literal["image", "audio"] | None, typer.Option(help="Default: what the data are.")
    ] = None,
    title: Annotated[str, typer.Option(help="For people. Default: the name.")] = "",
    as_json: Json = False,
) -> None:
    """Make an application with staging, canary and production, and commit it to the GitOps remote.

    Examples:

        rookery app create food --data-source /data/food-11

        rookery app create frogs --data-source s3://sounds/frogs --model-name mel-resnet18 --kind audio
    """
    from workflows.local.applications import create_here

    commit, facts = create_here(settings(), name, title or name.capitalize(), kind, data_source, model_name)
    if as_json:
        print_json({"commit": commit, **facts.model_dump(mode="json")})
        return
    say(f"{name} ({facts.kind}) is in the GitOps remote by commit {commit[:12]}")
    for environment, port in facts.ports.items():
        say(f"  {environment:<12} http://127.0.0.1:{port} once something is released")
    say(f"train it: rookery submit train-model -p application={name} --watch")


@app_commands.command("list")
def list_(repo: Repository = None, as_json: Json = False) -> None:
    """List the applications with their data, model and ports.

    Examples:

        rookery app list
    """
    from workflows.release.application import list_applications, load_application

    tree = tree_of(repo)
    found = [load_application(tree, name) for name in list_applications(tree)]
    if as_json:
        print_json([facts.model_dump(mode="json") for facts in found])
        return
    rows = [
        (facts.name, facts.kind, facts.data_source, facts.model_name, _ports(facts.ports)) for facts in found
    ]
    print_table(("application", "kind", "data source", "model", "ports"), rows)


def _ports(ports: dict[str, int]) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items())
