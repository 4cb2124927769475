"""What the served models answer, and how fast."""

from __future__ import annotations

from typing import Any

from services.observe.panels import WHERE, Panels, Query, bars, chart, filled, page
from services.observe.rules import Limits

_PLACE = "application, environment"
_VERSION = "application, environment, model_version"
_AT = "{{application}} {{environment}}"
_OF = "{{application}} {{environment}} {{model_version}}"


def _status(pattern: str) -> str:
    return f',status=~"{pattern}"'


_LIMITS = Limits()


def _rate(more: str = "", by: str = _PLACE) -> str:
    return f"sum by ({by}) (rate(rookery_serve_requests_total{{{WHERE}{more}}}[$__rate_interval]))"


def _quantile(share: float) -> Query:
    buckets = f"rate(rookery_serve_seconds_bucket{{{WHERE}}}[$__rate_interval])"
    return Query(
        f"histogram_quantile({share:g}, sum by ({_PLACE}, le) ({buckets}))", f"{_AT} p{100 * share:g}"
    )


def _answers() -> Panels:
    """Rate and errors."""
    return [
        chart("Rate", "reqps", Query(_rate(), _AT), description="Answers of /predict a second."),
        chart(
            "Errors",
            "percentunit",
            Query(f"({_rate(_status('5..'))} or 0 * {_rate()}) / {_rate()}", f"{_AT} 5xx"),
            Query(f"({_rate(_status('4..'))} or 0 * {_rate()}) / {_rate()}", f"{_AT} 4xx"),
            description="Share of answers that are no prediction; the line is where an alarm begins.",
            limit=_LIMITS.error_share,
        ),
        chart(
            "Answers by status",
            "reqps",
            Query(_rate(by="status, code"), "{{status}} {{code}}"),
            stacked=True,
        ),
    ]


def _speed() -> Panels:
    """Latency, queue and batch."""
    return [
        chart(
            "Latency",
            "s",
            *(_quantile(share) for share in (0.5, 0.95, 0.99)),
            description="From the first byte of the request to the answer.",
            width=16,
            limit=_LIMITS.p95_seconds,
        ),
        bars(
            "Latency now",
            "s",
            Query(
                f"histogram_quantile(0.95, sum by ({_VERSION}, le) "
                f"(increase(rookery_serve_seconds_bucket{{{WHERE}}}[5m])))",
                _OF,
            ),
            description="p95 of five minutes, by version.",
        ),
        chart(
            "Queue",
            "short",
            Query(f"max by ({_PLACE}) (rookery_serve_queue{{{WHERE}}})", f"{_AT} waiting"),
            Query(f"max by ({_PLACE}) (rookery_serve_busy{{{WHERE}}})", f"{_AT} busy"),
            description="Predictions that wait for a thread, and those that are in one or wait.",
        ),
        chart(
            "Batch",
            "short",
            Query(
                f"sum by ({_PLACE}) (rate(rookery_serve_windows_sum{{{WHERE}}}[$__rate_interval])) "
                f"/ sum by ({_PLACE}) (rate(rookery_serve_windows_count{{{WHERE}}}[$__rate_interval]))",
                _AT,
            ),
            description="Windows of one input, which the model takes together; a picture has one.",
        ),
    ]


def _process() -> Panels:
    """The log and the process."""
    return [
        chart(
            "Prediction log",
            "short",
            Query(
                "sum by (instance) (rate(rookery_serve_log_records_total[$__rate_interval]))",
                "{{instance}} records",
            ),
            Query(
                "sum by (instance) (rate(rookery_serve_log_dropped_total[$__rate_interval]))",
                "{{instance}} dropped",
            ),
            description="Records a second; what is dropped found no place in the spool.",
        ),
        chart(
            "Memory",
            "bytes",
            Query('process_resident_memory_bytes{service="serve"}', _AT),
            width=12,
        ),
        chart(
            "Processor",
            "percentunit",
            Query('rate(process_cpu_seconds_total{service="serve"}[$__rate_interval])', _AT),
            description="Share of one core.",
            width=12,
        ),
    ]


def serving() -> Any:
    """Rate, errors, latency, queue and batch of the served models."""
    return filled(
        page("rookery-serving", "Rookery: serving", "What the served models answer, and how fast."),
        [*_answers(), *_speed(), *_process()],
    )
