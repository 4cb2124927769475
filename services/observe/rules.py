"""The alert rules of Prometheus. Each is tested with `promtool test rules`: it fires, and it does not fire.

Each has a floor below which it is silent: two failures at night are not two percent of anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PLACE = "application, environment"


@dataclass(frozen=True)
class Limits:
    """When an alarm is raised; see `services.observe.settings`."""

    p95_seconds: float = 0.5
    error_share: float = 0.02
    refusal_share: float = 0.3
    confidence_drop: float = 0.1
    novel_share: float = 0.2
    stale_days: float = 90.0
    minimum: int = 50


@dataclass(frozen=True)
class Rule:
    """One alert.

    Attributes:
        wait: how long the condition must hold.
        severity: `page` wants somebody now, `ticket` wants somebody soon.
        summary, description: templates of Prometheus.
    """

    name: str
    condition: str
    wait: str
    severity: str
    summary: str
    description: str

    def as_dict(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": " ".join(self.condition.split()),
            "for": self.wait,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": " ".join(self.description.split()),
            },
        }


def rules_file(limits: Limits) -> dict[str, Any]:
    """The content of the rules file."""
    groups: Sequence[tuple[str, list[Rule]]] = (
        ("serving", _serving(limits)),
        ("model", _model(limits)),
        ("pipeline", _pipeline()),
        ("platform", _platform()),
    )
    return {"groups": [{"name": name, "rules": [rule.as_dict() for rule in rules]} for name, rules in groups]}


def _where(text: str) -> str:
    return f"{{{{ $labels.application }}}} {{{{ $labels.environment }}}}{text}"


def _serving(limits: Limits) -> list[Rule]:
    asked = f"sum by ({PLACE}) (increase(rookery_serve_requests_total[5m]))"

    def share(status: str, window: str) -> str:
        return (
            f'sum by ({PLACE}) (rate(rookery_serve_requests_total{{status=~"{status}"}}[{window}])) '
            f"/ sum by ({PLACE}) (rate(rookery_serve_requests_total[{window}]))"
        )

    return [
        Rule(
            "ServingSlow",
            f"""histogram_quantile(0.95, sum by ({PLACE}, le) (rate(rookery_serve_seconds_bucket[5m])))
            > {limits.p95_seconds:g} and {asked} >= {limits.minimum}""",
            "5m",
            "page",
            _where(" is slow"),
            f"One prediction in twenty takes longer than {{{{ $value | humanizeDuration }}}}; the limit is "
            f"{limits.p95_seconds:g} s.",
        ),
        Rule(
            "ServingErrors",
            f"""{share("5..", "5m")} > {limits.error_share:g}
            and sum by ({PLACE}) (increase(rookery_serve_requests_total{{status=~"5.."}}[5m])) >= 5""",
            "1m",
            "page",
            _where(" fails"),
            f"{{{{ $value | humanizePercentage }}}} of the answers are 5xx; the limit is {limits.error_share:.0%}.",
        ),
        Rule(
            "RequestsRefused",
            f"""{share("4..", "15m")} > {limits.refusal_share:g}
            and sum by ({PLACE}) (increase(rookery_serve_requests_total[15m])) >= {limits.minimum}""",
            "10m",
            "ticket",
            _where(" refuses much"),
            f"""{{{{ $value | humanizePercentage }}}} of the answers are 4xx; the limit is {limits.refusal_share:.0%}.
            Some client sends what is no input.""",
        ),
        Rule(
            "PredictionLogDrops",
            "sum by (job, instance) (increase(rookery_serve_log_dropped_total[15m])) > 0",
            "0m",
            "ticket",
            "{{ $labels.instance }} loses records of its prediction log",
            "The spool is full: nobody takes it away. {{ $value | humanize }} records in 15 minutes.",
        ),
    ]


def _model(limits: Limits) -> list[Rule]:
    model = f"{PLACE}, model_version"

    def confidence(window: str, offset: str = "") -> str:
        return (
            f"sum by ({model}) (increase(rookery_serve_confidence_sum[{window}]{offset})) "
            f"/ sum by ({model}) (increase(rookery_serve_confidence_count[{window}]{offset}))"
        )

    return [
        Rule(
            "ConfidenceDropped",
            f"""({confidence("1d", " offset 1h")}) - ({confidence("1h")}) > {limits.confidence_drop:g}
            and sum by ({model}) (increase(rookery_serve_confidence_count[1h])) >= {limits.minimum}
            and sum by ({model}) (increase(rookery_serve_confidence_count[1d] offset 1h)) >= {limits.minimum}""",
            "15m",
            "ticket",
            _where(" is less sure of itself"),
            """The mean confidence of version {{ $labels.model_version }} fell by {{ $value | humanize }} against the
            day before.""",
        ),
        Rule(
            "NovelInputs",
            f"""sum by ({PLACE}) (increase(rookery_serve_novel_total[1h]))
            / sum by ({PLACE}) (increase(rookery_serve_requests_total{{status="200"}}[1h])) > {limits.novel_share:g}
            and sum by ({PLACE}) (increase(rookery_serve_requests_total{{status="200"}}[1h])) >= {limits.minimum}""",
            "15m",
            "ticket",
            _where(" is asked what it was not trained on"),
            f"""{{{{ $value | humanizePercentage }}}} of the inputs are unlike the training data; the limit is
            {limits.novel_share:.0%}.""",
        ),
        Rule(
            "Drift",
            f"max by ({PLACE}) (rookery_monitor_drift) == 1",
            "10m",
            "ticket",
            _where(" drifts"),
            "The last day differs from what the model was validated on; the report of the monitor shows where.",
        ),
        Rule(
            "ModelStale",
            f"""(time() - max by ({PLACE}) (rookery_model_born_timestamp_seconds{{environment="production"}}))
            / 86400 > {limits.stale_days:g}""",
            "1h",
            "ticket",
            _where(" has an old model"),
            f"It was released {{{{ $value | humanize }}}} days ago; the limit is {limits.stale_days:g} days.",
        ),
    ]


def _pipeline() -> list[Rule]:
    return [
        Rule(
            "SyncFailed",
            f"max by ({PLACE}) (rookery_environment_synced) == 0",
            "5m",
            "page",
            _where(" does not run what git says"),
            "For five minutes the server has had another digest in memory than the release in git, or not answered.",
        ),
        Rule(
            "WorkflowFailed",
            "time() - max by (application, template) (rookery_workflow_failed_timestamp_seconds) < 900",
            "0m",
            "ticket",
            "{{ $labels.template }} failed",
            "A workflow of the template {{ $labels.template }} failed {{ $value | humanizeDuration }} ago.",
        ),
        Rule(
            "PipelineUnread",
            "rookery_observe_source_up == 0",
            "5m",
            "ticket",
            "{{ $labels.source }} cannot be read",
            "The figures of the pipeline are those of five minutes ago or older.",
        ),
    ]


def _platform() -> list[Rule]:
    return [
        Rule(
            "TargetDown",
            "up == 0",
            "2m",
            "page",
            "{{ $labels.job }} {{ $labels.service }}{{ $labels.application }} {{ $labels.environment }} is down",
            "{{ $labels.instance }} has not answered a scrape for two minutes.",
        ),
        Rule(
            "NoticesStuck",
            'sum by (channel) (rookery_notify_messages{state="waiting"}) > 0 '
            'and sum by (channel) (delta(rookery_notify_messages{state="sent"}[15m])) <= 0',
            "15m",
            "ticket",
            "notices by {{ $labels.channel }} are stuck",
            "{{ $value }} messages wait and none was sent in a quarter of an hour.",
        ),
    ]
