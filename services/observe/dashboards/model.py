"""What the models say of their inputs, and whether that changes."""

from __future__ import annotations

from typing import Any

from services.observe.panels import WHERE, Panels, Query, bars, chart, filled, number, page
from services.observe.rules import Limits

_PLACE = "application, environment"
_VERSION = "application, environment, model_version"
_AT = "{{application}} {{environment}}"
_OF = "{{application}} {{environment}} {{model_version}}"


_LIMITS = Limits()


def _confidence(window: str) -> str:
    return (
        f"sum by ({_VERSION}) (increase(rookery_serve_confidence_sum{{{WHERE}}}[{window}])) "
        f"/ sum by ({_VERSION}) (increase(rookery_serve_confidence_count{{{WHERE}}}[{window}]))"
    )


_PREDICTIONS = f'rookery_serve_requests_total{{{WHERE},status="200"}}'


def _sureness() -> Panels:
    """Confidence and novelty by version."""
    return [
        chart(
            "Confidence by version",
            "percentunit",
            Query(_confidence("$__rate_interval"), _OF),
            description="Mean probability of the likeliest label.",
        ),
        bars(
            "Confidence of the last hour",
            "short",
            Query(f"sum by (le) (increase(rookery_serve_confidence_bucket{{{WHERE}}}[1h]))", "up to {{le}}"),
            description="Predictions up to each confidence.",
        ),
        chart(
            "Novel inputs by version",
            "percentunit",
            Query(
                f"sum by ({_VERSION}) (rate(rookery_serve_novel_total{{{WHERE}}}[$__rate_interval])) "
                f"/ sum by ({_VERSION}) (rate({_PREDICTIONS}[$__rate_interval]))",
                _OF,
            ),
            description="Share of inputs unlike the training data.",
            limit=_LIMITS.novel_share,
        ),
    ]


def _classes() -> Panels:
    """What is answered."""
    return [
        chart(
            "Classes",
            "percentunit",
            Query(
                f"topk(20, sum by (label) (rate(rookery_serve_label_total{{{WHERE}}}[$__rate_interval]))) "
                f"/ scalar(sum(rate(rookery_serve_label_total{{{WHERE}}}[$__rate_interval])))",
                "{{label}}",
            ),
            description="Share of each label among the answers, the twenty most frequent.",
            width=12,
            stacked=True,
        ),
        bars(
            "Classes by version, last hour",
            "short",
            Query(
                f"topk(20, sum by (model_version, label) (increase(rookery_serve_label_total{{{WHERE}}}[1h])))",
                "{{model_version}}: {{label}}",
            ),
            width=12,
        ),
    ]


def _drift() -> Panels:
    """What the monitor says."""
    return [
        chart(
            "Drift",
            "short",
            Query(f"max by ({_PLACE}) (rookery_monitor_drift{{{WHERE}}})", _AT),
            description="1 while the last day differs from what the model was validated on.",
        ),
        chart(
            "What drifts",
            "short",
            Query(
                f"topk(15, max by ({_PLACE}, feature) (rookery_monitor_effect{{{WHERE}}}))",
                "{{environment}} {{feature}}",
            ),
            description="Total variation beyond chance, 0 to 1, of the last day against the validation split.",
            limit=0.1,
        ),
        chart(
            "Novel share of the last day",
            "percentunit",
            Query(f"max by ({_PLACE}) (rookery_monitor_novel_share{{{WHERE}}})", _AT),
        ),
    ]


def _now() -> Panels:
    """What runs."""
    return [
        number(
            "Version in git",
            "none",
            Query(f"max by ({_PLACE}) (rookery_environment_version{{{WHERE}}})", _AT),
            width=8,
            decimals=0,
        ),
        number(
            "Age of the model",
            "s",
            Query(f"time() - max by ({_PLACE}) (rookery_model_born_timestamp_seconds{{{WHERE}}})", _AT),
            description="Since it was first released anywhere.",
            width=8,
        ),
        number(
            "Running what git says",
            "bool_yes_no",
            Query(f"min by ({_PLACE}) (rookery_environment_synced{{{WHERE}}})", _AT),
            width=8,
        ),
    ]


def model() -> Any:
    """Confidence, classes, novelty, drift and age of the models."""
    return filled(
        page(
            "rookery-model",
            "Rookery: model",
            "What the models say of their inputs, and whether that changes.",
        ),
        [*_sureness(), *_classes(), *_drift(), *_now()],
    )
