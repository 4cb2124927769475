"""`prune`: make room in the state folder."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from workflows.commands.console import print_json, print_table, say
from workflows.commands.options import Json, settings

_UNITS = ("B", "kB", "MB", "GB", "TB")


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(rich_help_panel="Platform")(prune)


def prune(
    older_than: Annotated[
        float, typer.Option(min=0, help="Days; what is younger stays.", show_default=True)
    ] = 30,
    keep_runs: Annotated[int, typer.Option(min=0, help="The newest finished workflows that stay.")] = 20,
    keep_releases: Annotated[
        int, typer.Option(min=2, help="The newest images of each environment that stay.")
    ] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; show what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what nothing needs any more: old workflows, images, caches and logs.

    A workflow stays while it is not over, among the newest, or young. An image stays while an environment has or had
    it among its newest, a rollback would go to it, a workflow that is not over names it, or it is young. MLflow and
    the git history are never touched. It may be called while the platform runs, and killed at any time.

    Examples:

        rookery prune --dry-run

        rookery prune --older-than 7 --keep-runs 5
    """
    from workflows.local import platform
    from workflows.local.pruning import Bounds
    from workflows.local.pruning import prune as find

    chosen = settings()
    platform.require_made(chosen)
    bounds = Bounds(older_than, keep_runs, keep_releases)
    found = list(find(chosen, bounds, dry_run=dry_run))
    gone = [leftover for leftover, removed in found if removed or dry_run]
    left = [leftover for leftover, removed in found if not removed and not dry_run]
    total = sum(leftover.size for leftover in gone)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "bytes": total,
                "removed": [] if dry_run else [leftover.as_dict() for leftover in gone],
                "removable": [leftover.as_dict() for leftover in (gone if dry_run else left)],
            }
        )
        return
    if dry_run and gone:
        rows = [(one.what, one.name, size(one.size), one.why) for one in gone]
        print_table(("what", "name", "size", "why"), rows)
        say()
    counts, sizes = Counter(one.what for one in gone), Counter[str]()
    for one in gone:
        sizes[one.what] += one.size
    if not gone:
        say("nothing to remove")
        return
    print_table(
        ("what", "count", "size"),
        [
            *((what, count, size(sizes[what])) for what, count in counts.items()),
            ("all", len(gone), size(total)),
        ],
    )
    if left:
        say(f"{len(left)} more are in use now")
    say("nothing was removed; without --dry-run it is" if dry_run else "removed")


def size(count: int) -> str:
    """Bytes for people."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"
