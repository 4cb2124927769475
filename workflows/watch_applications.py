"""`watch-applications`: what has changed is told to the arbiter; and the CronWorkflows that run it."""

from __future__ import annotations

from hera.workflows import CronWorkflow, Parameter, Step, Steps, WorkflowTemplate
from hera.workflows.models import WorkflowTemplateRef

from workflows.steps import watching
from workflows.templating import IDENTITY_LABELS, add_conclusion, step, whole, workflow_template

NAME = "watch-applications"


def watch_applications() -> WorkflowTemplate:
    """The WorkflowTemplate."""
    template = workflow_template(
        NAME,
        [
            Parameter(name="application", value="", description="Only this one. Empty: all."),
            Parameter(
                name="schedule",
                value="false",
                enum=["false", "true"],
                description="Whether it is also time to train again, whatever has changed.",
            ),
        ],
        description="Compare every application's data, code and drift with what was seen last, and tell the arbiter.",
        deadline_seconds=1800,
    )
    with template:
        watch = step(
            "watch",
            watching.watch_applications,
            deadline_seconds=900,
            retries=2,
            git=True,
            tokens=("arbiter", "monitor"),
        )
        with Steps(name="main"):
            Step(name="watch", template=watch, arguments=whole("application", "schedule"))
        add_conclusion(NAME)
    return template


def every_quarter_of_an_hour() -> CronWorkflow:
    """Has anything changed?"""
    return _cron("watch-applications", "*/15 * * * *", {})


def every_week() -> CronWorkflow:
    """Time to train again, if there is anything new; on Monday at three in the morning, UTC."""
    return _cron("retrain-weekly", "0 3 * * 1", {"schedule": "true"})


def _cron(name: str, schedule: str, parameters: dict[str, str]) -> CronWorkflow:
    return CronWorkflow(
        name=name,
        schedules=[schedule],
        # Known to a controller without a database of time zones too.
        timezone="UTC",
        # A look that takes longer than the pause is not joined by a second one.
        concurrency_policy="Forbid",
        starting_deadline_seconds=600,
        successful_jobs_history_limit=1,
        failed_jobs_history_limit=3,
        cron_suspend=False,
        labels=dict(IDENTITY_LABELS),
        workflow_template_ref=WorkflowTemplateRef(name=NAME),
        arguments=[Parameter(name=key, value=value) for key, value in parameters.items()] or None,
    )
