"""`rookery`: the platform, its workflows and its environments from the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from services.common.errors import Refused, RookeryError
from workflows.commands import (
    infra,
    label,
    platform,
    prune,
    quarantine,
    releases,
    retraining,
    runs,
    share,
    simulate,
    upkeep,
)
from workflows.commands.console import fail, say
from workflows.commands.options import Chosen

FAILED, REFUSED, INTERRUPTED = 1, 3, 130

app = typer.Typer(
    name="rookery",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by a gate, a check or a policy.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"rookery {version('rookery')}")
        raise typer.Exit


@app.callback()
def options(
    home: Annotated[
        Path | None,
        typer.Option(
            help="State folder. Default: ROOKERY_HOME, else .rookery in the checkout.", show_default=False
        ),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="File that tells --cluster where the cluster is. Default: KUBECONFIG, else ~/.kube/config.",
            show_default=False,
        ),
    ] = None,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end."),
    ] = False,
) -> None:
    """Train, judge, package and promote models through staging, canary and production by git commits."""
    Chosen.home = home
    Chosen.kubeconfig = kubeconfig


for group in (platform, runs, releases, share, quarantine, prune, retraining, label, upkeep, simulate, infra):
    group.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; an error of the platform's own kinds is one line and an exit code."""
    try:
        try:
            app(args=arguments if arguments is None else list(arguments), prog_name="rookery")
        finally:
            _flush()
    except Refused as error:
        fail(str(error))
        sys.exit(REFUSED)
    except RookeryError as error:
        fail(str(error))
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.exit(FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        fail(f"{where}{error.strerror or error}")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        fail("interrupted")
        sys.exit(INTERRUPTED)


def _flush() -> None:
    """Writes what is left; an output that takes nothing is given up, or Python complains once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError, ValueError):
            os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise


if __name__ == "__main__":
    main()
