"""What MLflow says of the last thirty days: trainings, verdicts of the gate, workflows. Nothing is made there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.common.errors import Unavailable
from services.common.mlflow_rest import params_of, tags_of
from services.common.trust import trust_for

DAYS = 30
STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED")
DECISIONS = ("accepted", "refused")
# Pages of a thousand runs; beyond that the figures are of the newest runs alone.
_PAGE, _PAGES = 1000, 5
_API = "/api/2.0/mlflow"
_WORKFLOWS = "workflows"


@dataclass(frozen=True)
class Runs:
    """Numbers of the last thirty days, and when a workflow last failed (seconds since 1970)."""

    trainings: Mapping[tuple[str, str], int] = field(default_factory=dict)
    verdicts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    workflows: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    failed: Mapping[tuple[str, str], float] = field(default_factory=dict)


def read_runs(url: str, applications: Sequence[str], seconds: float = 10.0) -> Runs:
    """Ask MLflow.

    Raises:
        Unavailable: it does not answer.
    """
    since = int((time.time() - DAYS * 86_400) * 1000)
    trainings: Counter[tuple[str, str]] = Counter()
    verdicts: Counter[tuple[str, str]] = Counter()
    workflows: Counter[tuple[str, str, str]] = Counter()
    failed: dict[tuple[str, str], float] = {}
    try:
        with httpx.Client(
            base_url=url.rstrip("/"), timeout=seconds, trust_env=False, verify=trust_for(url)
        ) as client:
            for application in applications:
                for run in _search(client, application, since):
                    trainings[(application, _status(run))] += 1
                    if (decision := tags_of(run).get("rookery.decision", "")) in DECISIONS:
                        verdicts[(application, decision)] += 1
            for run in _search(client, _WORKFLOWS, since):
                application = params_of(run).get("application", "")
                if application not in applications:
                    application = ""
                template = tags_of(run).get("rookery.template", "")
                workflows[(application, template, _status(run))] += 1
                if _status(run) == "FAILED":
                    ended = float(run["info"].get("end_time") or run["info"].get("start_time") or 0) / 1000
                    place = (application, template)
                    failed[place] = max(ended, failed.get(place, 0.0))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"MLflow does not say what it has: {type(error).__name__}: {error}") from error
    return Runs(trainings, verdicts, workflows, failed)


def _search(client: httpx.Client, experiment: str, since: int) -> list[dict[str, Any]]:
    answer = client.get(f"{_API}/experiments/get-by-name", params={"experiment_name": experiment})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return []
    number = str(answer.raise_for_status().json()["experiment"]["experiment_id"])
    found: list[dict[str, Any]] = []
    body: dict[str, Any] = {
        "experiment_ids": [number],
        "filter": f"attributes.start_time >= {since}",
        "max_results": _PAGE,
        "order_by": ["attributes.start_time DESC"],
    }
    for _ in range(_PAGES):
        page = client.post(f"{_API}/runs/search", json=body).raise_for_status().json()
        found += page.get("runs", [])
        body["page_token"] = page.get("next_page_token", "")
        if not body["page_token"]:
            break
    return found


def _status(run: Mapping[str, Any]) -> str:
    status = str(run["info"].get("status", ""))
    return status if status in STATUSES else "RUNNING"
