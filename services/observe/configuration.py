"""The configuration of Prometheus and Alertmanager, written in Python and checked by their own tools.

Prometheus asks the observe service which processes there are (`/targets`), so a new application is scraped without a
change here, and on a cluster Prometheus needs no account that may look at pods.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.common.files import replacing
from services.observe.rules import Limits, rules_file

PROMETHEUS, RULES, ALERTMANAGER, TOKEN = "prometheus.yml", "rules.yml", "alertmanager.yml", "notify-token"
_NOTE = "# Written by services.observe; a change here does not last.\n"
# What one process may say: more than ours ever do, and not enough to fill a disk.
_SCRAPE_BOUNDS = {
    "sample_limit": 20_000,
    "label_limit": 40,
    "label_name_length_limit": 100,
    "label_value_length_limit": 500,
    "body_size_limit": "16MB",
}


@dataclass(frozen=True)
class Places:
    """Where the parts reach each other: `host:port` each; `notify` is a URL, empty when nobody is told."""

    observe: str
    prometheus: str
    alertmanager: str
    notify: str = ""


def prometheus(places: Places, scrape_seconds: int) -> dict[str, Any]:
    """The content of prometheus.yml."""
    own = {"prometheus": places.prometheus, "alertmanager": places.alertmanager}
    return {
        "global": {
            "scrape_interval": f"{scrape_seconds}s",
            "scrape_timeout": f"{min(scrape_seconds, 10)}s",
            "evaluation_interval": f"{scrape_seconds}s",
        },
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [places.alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "rookery",
                # A server names its application, environment and version itself.
                "honor_labels": True,
                **_SCRAPE_BOUNDS,
                "http_sd_configs": [
                    {"url": f"http://{places.observe}/targets", "refresh_interval": f"{scrape_seconds}s"}
                ],
            },
            {
                "job_name": "observing",
                "static_configs": [
                    {"targets": [target], "labels": {"service": name}} for name, target in own.items()
                ],
            },
        ],
    }


def alertmanager(places: Places, *, token: bool) -> dict[str, Any]:
    """The content of alertmanager.yml: everything goes to the notify service, what belongs together at once.

    Args:
        token: whether the notify service asks for one, which lies in a file beside this one.
    """
    told: dict[str, Any] = {
        "url": f"{places.notify.rstrip('/')}/alerts",
        "send_resolved": True,
        "max_alerts": 100,
    }
    if token:
        told["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": TOKEN}}
    receiver: dict[str, Any] = {"name": "notify"}
    if places.notify:
        receiver["webhook_configs"] = [told]
    return {
        "route": {
            "receiver": "notify",
            "group_by": ["alertname", "application", "environment"],
            "group_wait": "5s",
            "group_interval": "1m",
            "repeat_interval": "12h",
        },
        "inhibit_rules": [
            {
                # Who is down is not also slow.
                "source_matchers": ["alertname=TargetDown"],
                "target_matchers": ['alertname=~"ServingSlow|ServingErrors|SyncFailed"'],
                "equal": ["application", "environment"],
            }
        ],
        "receivers": [receiver],
    }


def write(folder: Path, places: Places, limits: Limits, scrape_seconds: int, token: str = "") -> None:
    """Write all files into a folder; a file that says the same already is not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    if token:
        _replace(folder / TOKEN, token)
    _replace(folder / PROMETHEUS, text(prometheus(places, scrape_seconds)))
    _replace(folder / RULES, text(rules_file(limits)))
    _replace(folder / ALERTMANAGER, text(alertmanager(places, token=bool(token))))


def text(content: dict[str, Any]) -> str:
    """As YAML, in the order in which people read it."""
    return _NOTE + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def _replace(path: Path, content: str) -> None:
    if path.exists() and path.read_text() == content:
        return
    with replacing(path, 0o600) as file:
        file.write(content.encode())
