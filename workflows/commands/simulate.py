"""`simulate`: the proof that the whole works, played on this machine."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from services.common.errors import Refused
from workflows.commands.console import duration, hint, say
from workflows.commands.options import DEFAULT_APPLICATION, Json, settings

PANEL = "Platform"


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(rich_help_panel=PANEL)(simulate)


def simulate(
    months: Annotated[
        int, typer.Option(help="Months to play, 3 to 24; the shift comes near the middle.")
    ] = 12,
    seed: Annotated[int, typer.Option(min=0, help="What chance draws from.")] = 6,
    application: Annotated[
        str, typer.Option("--application", "-a", help="The world to play in: digits or birds.")
    ] = DEFAULT_APPLICATION,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the platform of the simulation running in the end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Play a year of the loop: serve, watch, label, decide, retrain, promote; beside a model that is left alone.

    A platform of its own runs in `simulate` below the state folder; yours is not touched. Inputs arrive month by
    month; in the middle of the year another device records, with noise, and later classes are seen that nobody had
    labelled. The report there has a chart of both sides. The exit code is 3 when the loop is not better beyond chance.

    Examples:

        rookery simulate

        rookery simulate --months 6 --seed 2 --application birds
    """
    from workflows.simulation.play import as_json as to_json
    from workflows.simulation.play import simulate as play

    began = time.monotonic()
    played = play(settings(), application, months, seed, hint if as_json else say, keep=keep)
    result = played.result
    if as_json:
        sys.stdout.write(to_json(played) + "\n")
    else:
        say()
        say(f"report: {played.report}")
        if keep:
            say(f"the platform runs on: rookery --home {played.home} status")
        say(f"done in {duration(time.monotonic() - began)}")
        for line, style in zip(result.lines(), ("bold green" if result.won else "bold", "bold"), strict=True):
            say(line, style)
    if not result.won:
        raise Refused("the loop is not better than the model that was left alone, beyond chance")
