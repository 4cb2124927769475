"""The outcomes that the judge needs, from the log of a canary and of production."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from services.common.errors import InvalidInput
from services.monitor import judge
from services.monitor.archive import Archive
from services.monitor.tables import ROWS

MOST = 200_000
_BUCKET_MS = 300_000
_COLUMNS = ("time", "status", "seconds", "label", "request_id", "input_digest", "version", "shadow")


@dataclass(frozen=True)
class Request:
    """One request of the log; `label` is None where there was no answer; `copied`: it was a copy for a shadow."""

    time: int
    failed: bool
    seconds: float
    label: str | None
    request_id: bytes | None
    input_digest: bytes | None
    copied: bool = False


def judge_canary(
    archive: Archive,
    application: str,
    canary: str,
    production: str,
    begin: datetime,
    end: datetime,
    *,
    version: str,
    slow_quantile: float,
    slow_floor: float = 0.0,
    policy: judge.Policy,
    questions: Sequence[judge.Question] = judge.QUESTIONS,
) -> dict[str, Any]:
    """The verdict on what the environment `canary` answered, beside `production`, with what it rests on."""
    found, versions = load(archive, application, canary, begin, end, version)
    beside, _ = load(archive, application, production, begin, end, "")
    outcomes, facts = outcomes_of(
        beside,
        found,
        said(archive, application, production, begin, end),
        said(archive, application, canary, begin, end),
        slow_quantile=slow_quantile,
        slow_floor=slow_floor,
    )
    return {
        "application": application,
        "canary": canary,
        "production": production,
        "from": begin.isoformat(),
        "to": end.isoformat(),
        "version": version,
        "versions": dict(versions),
        "requests": {"canary": len(found), "production": len(beside)},
        "copies": sum(request.copied for request in found),
        **judge.judge(outcomes, policy, questions).as_dict(),
        **facts,
    }


def asked_questions(without: str) -> list[judge.Question]:
    """The judge's questions but those named, joined by commas.

    Raises:
        InvalidInput: there is no such question, or it must count.
    """
    left_out = {name.strip() for name in without.split(",") if name.strip()}
    optional = [question.name for question in judge.QUESTIONS if not question.required]
    for name in sorted(left_out):
        if name not in optional:
            raise InvalidInput("this question cannot be left out", value=name, allowed=", ".join(optional))
    return [question for question in judge.QUESTIONS if question.name not in left_out]


def outcomes_of(
    production: list[Request],
    canary: list[Request],
    production_truth: Mapping[bytes, set[str]],
    canary_truth: Mapping[bytes, set[str]],
    *,
    slow_quantile: float,
    slow_floor: float = 0.0,
) -> tuple[dict[str, Counter[int]], dict[str, Any]]:
    """Counts for each question of the judge, and how they were found.

    An answer is slow if it took longer than the quantile of every second one of production's answers; these are then
    no part of the comparison, so the threshold owes nothing to what it is applied to. No answer within `slow_floor`
    seconds is slow: where production needs half a millisecond, the pauses of a machine would decide.
    """
    answered = [request.seconds for request in production if not request.failed]
    outcomes: dict[str, Counter[int]] = {}
    outcomes["errors"] = judge.pair(
        [(request.time, request.failed) for request in production],
        [(request.time, request.failed) for request in canary],
        bucket=_BUCKET_MS,
    )
    calibration = answered[::2]
    quantile = float(np.quantile(calibration, slow_quantile)) if calibration else 0.0
    threshold = max(quantile, slow_floor)
    outcomes["slow"] = judge.pair(
        [(r.time, r.seconds > threshold) for r in [r for r in production if not r.failed][1::2]],
        [(r.time, r.seconds > threshold) for r in canary if not r.failed],
        bucket=_BUCKET_MS,
    )
    labels, others = _latest(production), _latest(canary)
    # A client that sends one file again and again is one outcome: the judge's bounds hold for independent ones.
    agreement = Counter(int(others[digest] != labels[digest]) for digest in others.keys() & labels.keys())
    outcomes["disagreement"] = agreement
    outcomes["wrong"] = judge.pair(
        list(_judged(production, production_truth)),
        list(_judged(canary, canary_truth)),
        bucket=_BUCKET_MS * 288,
    )
    return outcomes, {"slow_seconds": threshold, "same_inputs": agreement.total()}


def load(
    archive: Archive, application: str, environment: str, begin: datetime, end: datetime, version: str
) -> tuple[list[Request], Counter[str]]:
    """The newest 200,000 requests by time, of one version if it is named, and how many there are of each version."""
    requests: list[Request] = []
    versions: Counter[str] = Counter()
    for table in archive.served(application, environment, begin, end, _COLUMNS):
        for part in table.to_batches(max_chunksize=ROWS):
            columns = {name: part[name].to_pylist() for name in _COLUMNS if name != "time"}
            times = part["time"].cast("int64").to_pylist()
            for index, time in enumerate(times):
                versions[columns["version"][index]] += 1
                if version in ("", columns["version"][index]):
                    requests.append(
                        Request(
                            time,
                            columns["status"][index] >= 500,
                            columns["seconds"][index],
                            columns["label"][index],
                            columns["request_id"][index],
                            columns["input_digest"][index],
                            bool(columns["shadow"][index]),
                        )
                    )
            if len(requests) > 2 * MOST:
                requests = _newest(requests)
    return _newest(requests), versions


def said(
    archive: Archive, application: str, environment: str, begin: datetime, end: datetime
) -> dict[bytes, set[str]]:
    """What people said, by request; the last word counts."""
    latest: dict[bytes, tuple[int, set[str]]] = {}
    columns = ("time", "request_id", "labels")
    for table in archive.read("feedback", application, environment, begin, end, columns):
        times = table["time"].cast("int64").to_pylist()
        rows = zip(times, table["request_id"].to_pylist(), table["labels"].to_pylist(), strict=True)
        for time, name, labels in rows:
            if name not in latest or latest[name][0] <= time:
                latest[name] = (time, set(labels))
    return {name: labels for name, (_, labels) in latest.items()}


def _judged(requests: list[Request], truth: Mapping[bytes, set[str]]) -> Iterator[tuple[int, bool]]:
    for request in requests:
        name = request.request_id
        if request.label is not None and name is not None and name in truth:
            yield request.time, request.label not in truth[name]


def _latest(requests: list[Request]) -> dict[bytes, str]:
    """Input → what was said of it last."""
    return {
        request.input_digest: request.label
        for request in requests
        if request.label is not None and request.input_digest is not None
    }


def _newest(requests: list[Request]) -> list[Request]:
    return sorted(requests, key=lambda request: request.time)[-MOST:]
