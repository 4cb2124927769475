"""How the commands speak: tables for people, JSON for scripts, one line for an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 200
_COLOURS = {
    "running": "green",
    "Succeeded": "green",
    "ok": "green",
    "accepted": "green",
    "Running": "cyan",
    "starting": "cyan",
    "Pending": "cyan",
    "empty": "dim",
    "warning": "yellow",
    "restarting": "yellow",
    "Suspended": "yellow",
}
_BAD = "red"
_BAD_WORDS = frozenset({"failed", "Failed", "Error", "refused", "bad", "down", "differs"})


def console(*, stderr: bool = False) -> Console:
    """A console for the stream as it is now; lines are not cut when nobody looks at a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def say(text: str = "", style: str | None = None) -> None:
    """One line on standard output."""
    console().print(Text(text), style=style)


def hint(text: str) -> None:
    """One line on standard error, where it does not disturb what a script reads."""
    console(stderr=True).print(Text(text), style="yellow")


def fail(text: str) -> None:
    """An error as one line on standard error."""
    console(stderr=True).print(Text.assemble(("error: ", "bold red"), text))


def print_json(value: Any) -> None:
    """JSON on standard output, indented, without colours."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    whole: Collection[str] = (),
) -> Table:
    """A table whose words of state are coloured; the columns `whole` are never broken into lines.

    With such columns, the others are broken between words only.
    """
    made = Table(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", title_style="bold"
    )
    cells = [tuple(row) for row in rows]
    for at, header in enumerate(headers):
        words = " ".join([header, *(str(row[at]) for row in cells)]).split() if whole else []
        longest = max(map(len, words), default=None)
        made.add_column(header, overflow="fold", no_wrap=header in whole, min_width=longest)
    for row in cells:
        made.add_row(*(coloured(cell) for cell in row))
    return made


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    whole: Collection[str] = (),
) -> None:
    """Prints a table."""
    console().print(table(headers, rows, title=title, whole=whole))


def coloured(value: object) -> Text:
    """A cell."""
    text = "" if value is None else str(value)
    first = text.split(" ", 1)[0].rstrip(":,")
    return Text(text, style=_BAD if first in _BAD_WORDS else _COLOURS.get(first, ""))


def local_time(value: object) -> str:
    """A moment, as seconds since the epoch or ISO 8601, in the machine's own time zone."""
    if not value:
        return ""
    try:
        if isinstance(value, int | float):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return str(value)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
