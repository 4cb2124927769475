"""Panels of dashboards, built with Grafana's own SDK; it is needed only to write the files, not to show them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

with warnings.catch_warnings():
    # The SDK would rather write the format of Grafana 12 and later; the one used here every Grafana from 10 on reads.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
    from grafana_foundation_sdk.models import common as shared
    from grafana_foundation_sdk.models import dashboard as models

Panels = Sequence[timeseries.Panel | stat.Panel | bargauge.Panel]
SOURCE = shared.DataSourceRef(type_val="prometheus", uid="prometheus")
WHERE = 'application=~"$application",environment=~"$environment"'


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Attributes:
        legend: with labels in double braces.
    """

    expression: str
    legend: str


def chart(
    title: str,
    unit: str,
    *queries: Query,
    description: str = "",
    width: int = 8,
    stacked: bool = False,
    least: float | None = 0.0,
    limit: float | None = None,
) -> timeseries.Panel:
    """Lines over time.

    Args:
        width: of 24.
        least: lower end of the axis.
        limit: a value that is drawn as a line, where an alert begins.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(8)
        .line_width(1)
        .fill_opacity(40 if stacked else 10)
        .legend(
            common.VizLegendOptions()
            .display_mode(shared.LegendDisplayMode.LIST)
            .placement(shared.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI).sort(shared.SortOrder.DESCENDING)
        )
    )
    if least is not None:
        panel = panel.min(least)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL))
    if limit is not None:
        steps = [
            models.Threshold(value=None, color="transparent"),
            models.Threshold(value=limit, color="red"),
        ]
        panel = panel.thresholds(
            dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(common.GraphThresholdsStyleConfig().mode(shared.GraphThresholdsStyleMode.DASHED))
    for query, letter in zip(queries, "ABCDEFGH", strict=False):
        panel = panel.with_target(_target(query, letter).range())
    return panel


def number(
    title: str, unit: str, query: Query, *, description: str = "", width: int = 6, decimals: int | None = None
) -> stat.Panel:
    """The value now, one for each series."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(5)
        .color_mode(shared.BigValueColorMode.NONE)
        .graph_mode(shared.BigValueGraphMode.NONE)
        .with_target(_target(query, "A").instant())
    )
    return panel if decimals is None else panel.decimals(decimals)


def bars(title: str, unit: str, query: Query, *, description: str = "", width: int = 8) -> bargauge.Panel:
    """The values now as bars, one for each series."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(8)
        .min(0)
        .orientation(shared.VizOrientation.HORIZONTAL)
        .display_mode(shared.BarGaugeDisplayMode.BASIC)
        .with_target(_target(query, "A").instant())
    )


def choice(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A variable at the top of the page, all values chosen at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(values)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def page(uid: str, title: str, description: str, environments: bool = True) -> dashboard.Dashboard:
    """An empty dashboard; people may look at it and not change it."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["rookery"])
        .timezone("browser")
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            choice("application", "Application", "label_values(rookery_release_commits_total, application)")
        )
    )
    if environments:
        values = 'label_values(rookery_release_commits_total{application=~"$application"}, environment)'
        made = made.with_variable(choice("environment", "Environment", values))
    return made


def filled(empty: dashboard.Dashboard, panels: Panels) -> dashboard.Dashboard:
    """The dashboard with its panels, in the order of reading."""
    for panel in panels:
        empty = empty.with_panel(panel)
    return empty


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .expr(" ".join(query.expression.split()))
        .legend_format(query.legend)
        .ref_id(letter)
    )
