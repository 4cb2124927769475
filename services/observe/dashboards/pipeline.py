"""From training to production, as git and MLflow have it."""

from __future__ import annotations

from typing import Any

from services.observe.panels import Query, chart, number, page

_APPLICATION = 'application=~"$application"'
_ALERTS = 'count by (alertname, alertstate) (ALERTS) or label_replace(vector(0), "alertname", "none", "", "")'


def pipeline() -> Any:
    """Trainings, verdicts of the gate, releases, and the four figures of DORA."""

    def dora(name: str) -> Query:
        return Query(f"rookery_dora_{name}{{{_APPLICATION}}}", "{{application}}")

    return (
        page(
            "rookery-pipeline",
            "Rookery: pipeline",
            "From training to production, as git and MLflow have it.",
            False,
        )
        .with_panel(
            number(
                "Deployments a day",
                "short",
                dora("deployments_per_day"),
                description="Last 90 days.",
                decimals=2,
            )
        )
        .with_panel(
            number(
                "Lead time",
                "s",
                dora("lead_seconds"),
                description="Median from staging to production, last 90 days.",
            )
        )
        .with_panel(
            number(
                "Change failure rate", "percentunit", dora("change_failure_share"), description="Taken back."
            )
        )
        .with_panel(
            number(
                "Time to restore", "s", dora("restore_seconds"), description="Median until it was taken back."
            )
        )
        .with_panel(
            chart(
                "Trainings",
                "short",
                Query(f"sum by (status) (rookery_trainings{{{_APPLICATION}}})", "{{status}}"),
                description="Started in the last 30 days.",
                width=12,
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Verdicts of the gate",
                "short",
                Query(
                    f"sum by (application, decision) (rookery_gate_verdicts{{{_APPLICATION}}})",
                    "{{application}} {{decision}}",
                ),
                description="On trainings of the last 30 days.",
                width=12,
            )
        )
        .with_panel(
            chart(
                "Releases",
                "short",
                Query(
                    f"sum by (environment, action) (rookery_release_commits_total{{{_APPLICATION}}}) > 0",
                    "{{environment}} {{action}}",
                ),
                description="Commits that changed what an environment runs, all of the history.",
                width=12,
            )
        )
        .with_panel(
            chart(
                "Deployments and those taken back",
                "short",
                Query(
                    f"sum by (application) (rookery_deployments_total{{{_APPLICATION}}})", "{{application}}"
                ),
                Query(
                    f"sum by (application) (rookery_deployments_taken_back_total{{{_APPLICATION}}})",
                    "{{application}} taken back",
                ),
                width=12,
            )
        )
        .with_panel(
            chart(
                "Workflows",
                "short",
                Query("sum by (template, status) (rookery_workflows)", "{{template}} {{status}}"),
                description="Started in the last 30 days.",
            )
        )
        .with_panel(
            chart(
                "Trainings at work",
                "short",
                Query("sum by (state) (rookery_train_jobs)", "{{state}}"),
                Query("rookery_evaluate_waiting", "evaluations waiting"),
                Query("rookery_evaluate_working", "evaluations working"),
            )
        )
        .with_panel(
            chart(
                "Notices",
                "short",
                Query("sum by (channel, state) (rookery_notify_messages)", "{{channel}} {{state}}"),
            )
        )
        .with_panel(
            chart(
                "Alerts",
                "short",
                Query(_ALERTS, "{{alertname}} {{alertstate}}"),
                width=12,
            )
        )
        .with_panel(
            chart(
                "Up",
                "short",
                Query("min by (service) (up)", "{{service}}"),
                description="0: not answering.",
                width=12,
            )
        )
    )
