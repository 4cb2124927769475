"""The year as a picture: accuracy with and without the loop, and what happened when."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from workflows.simulation.account import Month, Result, interval, share
from workflows.simulation.world import Calendar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEPT, _ALONE, _NEWS, _NO = "#1a7f5a", "#b3431e", "#57606a", "#9a6700"


def draw(result: Result, calendar: Calendar, title: str, format_: Literal["svg", "png"]) -> bytes:
    """The chart in a format; the same result gives the same bytes."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "rookery", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = _figure(result, calendar, title)
        file = io.BytesIO()
        metadata = {"Date": None} if format_ == "svg" else {"Software": None}
        figure.savefig(file, format=format_, dpi=110, metadata=metadata)
    return file.getvalue()


def _figure(result: Result, calendar: Calendar, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 5.4), layout="constrained")
    axes = figure.add_subplot()
    months = result.months
    places = [month.number for month in months]
    alone = [(month.alone, month.groups) for month in months]
    kept = [(month.kept, month.groups) for month in months]
    _side(axes, places, alone, _ALONE, "without the loop: the first model", "s")
    _side(axes, places, kept, _KEPT, "with the loop", "o")
    _happenings(axes, months, calendar)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=26)
    axes.set_ylabel("right answers, by the truth")
    axes.set_ylim(0, 1.03)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
    axes.set_xlim(0.5, len(months) + 0.9)
    axes.set_xticks(places, [f"{month.name}\nv{month.version}" for month in months], fontsize=8)
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", frameon=False, ncols=2, fontsize=9)
    return figure


def _side(
    axes: Axes,
    places: list[int],
    answers: list[tuple[list[bool], list[str]]],
    colour: str,
    label: str,
    marker: str,
) -> None:
    low, high = zip(*(interval(side, groups) for side, groups in answers), strict=True)
    axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        places, [share(side) for side, _ in answers], color=colour, marker=marker, linewidth=2, label=label
    )


def _happenings(axes: Axes, months: Sequence[Month], calendar: Calendar) -> None:
    """News as dashed lines, drift as dots below them, retrainings between the months."""
    for number, text in ((calendar.shift, "new device, noise"), (calendar.arrival, "new classes")):
        axes.axvline(number - 0.5, color=_NEWS, linestyle="--", linewidth=1)
        axes.annotate(text, (number - 0.45, 1.045), color=_NEWS, fontsize=8.5, annotation_clip=False)
    drift = [month.number for month in months if month.drift == "drift"]
    axes.plot(drift, [0.24] * len(drift), "D", color=_NEWS, markersize=5, label="the monitor calls drift")
    promoted = [month.number + 0.5 for month in months if month.promoted]
    axes.plot(
        promoted, [0.18] * len(promoted), "^", color=_KEPT, markersize=8, label="a retrained version promoted"
    )
    refused = [month.number + 0.5 for month in months if month.outcome and not month.promoted]
    axes.plot(
        refused, [0.18] * len(refused), "X", color=_NO, markersize=8, label="a retrained version refused"
    )
