"""From training to production, as git and MLflow have it."""

from __future__ import annotations

from typing import Any

from services.observe.panels import Panels, Query, chart, filled, number, page

_APPLICATION = 'application=~"$application"'
_ALERTS = 'count by (alertname, alertstate) (ALERTS) or label_replace(vector(0), "alertname", "none", "", "")'


def _figure(name: str) -> Query:
    return Query(f"rookery_dora_{name}{{{_APPLICATION}}}", "{{application}}")


def _dora() -> Panels:
    """The four figures."""
    return [
        number(
            "Deployments a day",
            "short",
            _figure("deployments_per_day"),
            description="Last 90 days.",
            decimals=2,
        ),
        number(
            "Lead time",
            "s",
            _figure("lead_seconds"),
            description="Median from staging to production, last 90 days.",
        ),
        number(
            "Change failure rate", "percentunit", _figure("change_failure_share"), description="Taken back."
        ),
        number(
            "Time to restore", "s", _figure("restore_seconds"), description="Median until it was taken back."
        ),
    ]


def _training() -> Panels:
    """Trainings and verdicts."""
    return [
        chart(
            "Trainings",
            "short",
            Query(f"sum by (status) (rookery_trainings{{{_APPLICATION}}})", "{{status}}"),
            description="Started in the last 30 days.",
            width=12,
            stacked=True,
        ),
        chart(
            "Verdicts of the gate",
            "short",
            Query(
                f"sum by (application, decision) (rookery_gate_verdicts{{{_APPLICATION}}})",
                "{{application}} {{decision}}",
            ),
            description="On trainings of the last 30 days.",
            width=12,
        ),
    ]


def _releases() -> Panels:
    """What came where."""
    return [
        chart(
            "Releases",
            "short",
            Query(
                f"sum by (environment, action) (rookery_release_commits_total{{{_APPLICATION}}}) > 0",
                "{{environment}} {{action}}",
            ),
            description="Commits that changed what an environment runs, all of the history.",
            width=12,
        ),
        chart(
            "Deployments and those taken back",
            "short",
            Query(f"sum by (application) (rookery_deployments_total{{{_APPLICATION}}})", "{{application}}"),
            Query(
                f"sum by (application) (rookery_deployments_taken_back_total{{{_APPLICATION}}})",
                "{{application}} taken back",
            ),
            width=12,
        ),
    ]


def _work() -> Panels:
    """Who is at work."""
    return [
        chart(
            "Workflows",
            "short",
            Query("sum by (template, status) (rookery_workflows)", "{{template}} {{status}}"),
            description="Started in the last 30 days.",
        ),
        chart(
            "Trainings at work",
            "short",
            Query("sum by (state) (rookery_train_jobs)", "{{state}}"),
            Query("rookery_evaluate_waiting", "evaluations waiting"),
            Query("rookery_evaluate_working", "evaluations working"),
        ),
        chart(
            "Notices",
            "short",
            Query("sum by (channel, state) (rookery_notify_messages)", "{{channel}} {{state}}"),
        ),
    ]


def _health() -> Panels:
    """What is wrong."""
    return [
        chart(
            "Alerts",
            "short",
            Query(_ALERTS, "{{alertname}} {{alertstate}}"),
            width=12,
        ),
        chart(
            "Up",
            "short",
            Query("min by (service) (up)", "{{service}}"),
            description="0: not answering.",
            width=12,
        ),
    ]


def pipeline() -> Any:
    """Trainings, verdicts of the gate, releases, and the four figures of DORA."""
    return filled(
        page(
            "rookery-pipeline",
            "Rookery: pipeline",
            "From training to production, as git and MLflow have it.",
            False,
        ),
        [*_dora(), *_training(), *_releases(), *_work(), *_health()],
    )
