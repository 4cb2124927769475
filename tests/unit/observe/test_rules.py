"""Each alert fires when it should and is silent when it should be, as Prometheus' own tool sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.observe.configuration import text
from services.observe.rules import Limits, rules_file
from tests.support.observing import promtool

PLACE = 'application="digits",environment="production"'
MODEL = f'{PLACE},model_version="3"'
# 30 days and a little after 1970, where promtool's clock begins, a model has an age that can be written down.


@dataclass(frozen=True)
class Case:
    """Series of one sample a minute, and whether the alert fires at the end."""

    alert: str
    series: dict[str, str]
    at: str
    fires: bool
    labels: dict[str, str] = field(default_factory=dict)


def requests(status: str, per_minute: float, minutes: int = 400) -> dict[str, str]:
    return {f'rookery_serve_requests_total{{{MODEL},status="{status}",code=""}}': f"0+{per_minute}x{minutes}"}


def latency(fast: float, slow: float, minutes: int = 60) -> dict[str, str]:
    buckets = {"0.1": fast, "0.5": fast, "1.0": fast + slow, "+Inf": fast + slow}
    return {
        f'rookery_serve_seconds_bucket{{{MODEL},le="{bound}"}}': f"0+{count}x{minutes}"
        for bound, count in buckets.items()
    }


def confidence(
    before: float, after: float, per_minute: int = 10, change: int = 1440, more: int = 120
) -> dict[str, str]:
    """A day of one mean confidence, then of another one."""
    end = before * per_minute * change
    total = f"0+{before * per_minute}x{change} {end + after * per_minute}+{after * per_minute}x{more}"
    return {
        f"rookery_serve_confidence_sum{{{MODEL}}}": total,
        f"rookery_serve_confidence_count{{{MODEL}}}": f"0+{per_minute}x{change + more + 1}",
    }


WHERE = {"application": "digits", "environment": "production"}
DOWN = (
    'up{job="rookery",service="serve",instance="127.0.0.1:1",application="digits",environment="production"}'
)
BORN = f"rookery_model_born_timestamp_seconds{{{PLACE}}}"
STAGED = 'rookery_model_born_timestamp_seconds{application="digits",environment="staging"}'
SYNCED = f"rookery_environment_synced{{{PLACE}}}"
FAILED = 'rookery_workflow_failed_timestamp_seconds{application="digits",template="train-model"}'
DRIFT = f"rookery_monitor_drift{{{PLACE}}}"
NOVEL = f"rookery_serve_novel_total{{{MODEL}}}"
DROPPED = 'rookery_serve_log_dropped_total{job="rookery",instance="127.0.0.1:1"}'
WAITING = 'rookery_notify_messages{channel="mail",state="waiting"}'
SENT = 'rookery_notify_messages{channel="mail",state="sent"}'
SOURCE = 'rookery_observe_source_up{source="git"}'
CASES = [
    Case("ServingSlow", latency(60, 20) | requests("200", 80), "15m", True, WHERE),
    Case("ServingSlow", latency(100, 4) | requests("200", 104), "15m", False),
    Case("ServingSlow", latency(0, 2) | requests("200", 2), "15m", False),
    Case("ServingErrors", requests("200", 60) | requests("500", 4), "10m", True, WHERE),
    Case("ServingErrors", requests("200", 60) | requests("503", 1), "10m", False),
    Case("ServingErrors", requests("500", 0.5), "10m", False),
    Case("ServingErrors", requests("200", 60) | requests("413", 60), "10m", False),
    Case("RequestsRefused", requests("200", 10) | requests("415", 10), "40m", True, WHERE),
    Case("RequestsRefused", requests("200", 10) | requests("415", 2), "40m", False),
    Case("RequestsRefused", requests("415", 1), "40m", False),
    Case("PredictionLogDrops", {DROPPED: "0x10 5x20"}, "12m", True, {"job": "rookery", "instance": "127.0.0.1:1"}),
    Case("PredictionLogDrops", {DROPPED: "5x60"}, "20m", False),
    Case("ConfidenceDropped", confidence(0.9, 0.6), "1500m", True, WHERE | {"model_version": "3"}),
    Case("ConfidenceDropped", confidence(0.9, 0.85), "1500m", False),
    Case("ConfidenceDropped", confidence(0.9, 0.3, per_minute=0), "1500m", False),
    Case("NovelInputs", requests("200", 10) | {NOVEL: "0+4x400"}, "90m", True, WHERE),
    Case("NovelInputs", requests("200", 10) | {NOVEL: "0+1x400"}, "90m", False),
    Case("NovelInputs", requests("200", 0.5) | {NOVEL: "0+0.5x400"}, "90m", False),
    Case("Drift", {DRIFT: "1x60"}, "20m", True, WHERE),
    Case("Drift", {DRIFT: "0x60"}, "20m", False),
    Case("Drift", {DRIFT: "1x5 0x50"}, "20m", False),
    Case("ModelStale", {BORN: f"{-100 * 86400}x200"}, "2h", True, WHERE),
    Case("ModelStale", {BORN: f"{-30 * 86400}x200"}, "2h", False),
    Case("ModelStale", {STAGED: f"{-100 * 86400}x200"}, "2h", False),
    Case("SyncFailed", {SYNCED: "0x60"}, "10m", True, WHERE),
    Case("SyncFailed", {SYNCED: "1x60"}, "10m", False),
    Case("SyncFailed", {SYNCED: "0x3 1x60"}, "10m", False),
    Case("WorkflowFailed", {FAILED: "0x60"}, "5m", True, {"application": "digits", "template": "train-model"}),
    Case("WorkflowFailed", {FAILED: "0x60"}, "20m", False),
    Case("PipelineUnread", {SOURCE: "0x60"}, "10m", True, {"source": "git"}),
    Case("PipelineUnread", {SOURCE: "1x60"}, "10m", False),
    Case(
        "TargetDown", {DOWN: "1x5 0x60"}, "10m", True,
        WHERE | {"job": "rookery", "service": "serve", "instance": "127.0.0.1:1"},
    ),
    Case("TargetDown", {DOWN: "1x5 0x1 1x60"}, "10m", False),
    Case("NoticesStuck", {WAITING: "3x60", SENT: "9x60"}, "50m", True, {"channel": "mail"}),
    Case("NoticesStuck", {WAITING: "3x60", SENT: "0+1x60"}, "50m", False),
    Case("NoticesStuck", {WAITING: "0x60", SENT: "9x60"}, "50m", False),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rules")
    (made / "rules.yml").write_text(text(rules_file(Limits())))
    return made


def rules() -> list[dict[str, Any]]:
    return [rule for group in rules_file(Limits())["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_rules(folder: Path) -> None:
    done = promtool("check", "rules", "rules.yml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_every_alert_is_tested_both_ways() -> None:
    assert {(case.alert, case.fires) for case in CASES} == {
        (rule["alert"], fires) for rule in rules() for fires in (True, False)
    }


def test_every_alert_says_how_bad_it_is_and_what_it_means() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_each_alert_fires_and_is_silent_as_it_should(folder: Path) -> None:
    tests = []
    for case in CASES:
        series = [{"series": name, "values": values} for name, values in case.series.items()]
        # The words differ with the value; that they are there is tested above, their form in the real chain.
        count = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)'
        labels = ",".join(f'{name}="{value}"' for name, value in case.labels.items())
        exact = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing",{labels}}}) or vector(0)'
        tests.append(
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": case.at,
                        "exp_samples": [{"labels": "{}", "value": 1 if case.fires else 0}],
                    }
                    for expr in (count, exact)
                ],
            }
        )
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    done = promtool("test", "rules", "tests.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_limits_are_the_users(folder: Path) -> None:
    file = rules_file(Limits(p95_seconds=2.5, stale_days=10))
    content = yaml.safe_dump(file)
    assert "> 2.5" in content and "> 10" in content
