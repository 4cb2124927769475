"""What follows a failed attempt."""

from __future__ import annotations

import time
from typing import Any

import pytest

from workflows.local.models import RetryStrategy
from workflows.local.nodes import Node
from workflows.local.retries import after_attempt


def _attempts(count: int, phase: str = "Failed", code: str = "1", ago: float = 0.0) -> list[Node]:
    now = time.time() - ago
    return [
        Node(str(i), str(i), str(i), "Pod", phase, exit_code=code, started=now, finished=now, message="m")
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("strategy", "attempts", "again", "message"),
    [
        ({"limit": 2}, _attempts(2), True, ""),
        ({"limit": 2}, _attempts(3), False, "No more retries left"),
        ({"limit": 0}, _attempts(1), False, "No more retries left"),
        ({}, _attempts(50), True, ""),
        ({"limit": 2}, _attempts(1, "Error"), False, "m"),
        ({"limit": 2, "retryPolicy": "OnError"}, _attempts(1, "Error"), True, ""),
        ({"limit": 2, "retryPolicy": "OnError"}, _attempts(1), False, "m"),
        ({"limit": 2, "retryPolicy": "Always"}, _attempts(1, "Error"), True, ""),
        ({"limit": 2, "expression": "lastRetry.exitCode == '1'"}, _attempts(1, "Error"), True, ""),
        (
            {"limit": 2, "expression": "lastRetry.exitCode == '2'"},
            _attempts(1),
            False,
            "retryStrategy.expression evaluated to false",
        ),
        ({"limit": "{{n}}"}, _attempts(2), False, "No more retries left"),
    ],
)
def test_policies_limits_and_expressions(
    strategy: dict[str, Any], attempts: list[Node], again: bool, message: str
) -> None:
    verdict = after_attempt(RetryStrategy.model_validate(strategy), attempts, {"n": "1"}, stop=None)
    assert (verdict.again, verdict.message) == (again, message)


@pytest.mark.parametrize(("count", "wait"), [(1, 2), (2, 6), (3, 18), (6, 100)])
def test_backoff_grows_to_its_cap(count: int, wait: float) -> None:
    strategy = RetryStrategy.model_validate(
        {"limit": 9, "backoff": {"duration": "2s", "factor": 3, "cap": "100"}}
    )
    attempts = _attempts(count)
    verdict = after_attempt(strategy, attempts, {}, stop=None)
    assert verdict.wait_until == pytest.approx(attempts[-1].finished + wait)  # type: ignore[operator]
    assert not verdict.again
    assert after_attempt(strategy, _attempts(count, ago=wait + 1), {}, stop=None).again


def test_the_longest_duration_ends_it() -> None:
    strategy = RetryStrategy.model_validate({"limit": 9, "backoff": {"duration": "5s", "maxDuration": "3s"}})
    assert (
        after_attempt(strategy, _attempts(1), {}, stop=None).message
        == "Backoff would exceed max duration limit"
    )
    assert (
        after_attempt(strategy, _attempts(1, ago=4), {}, stop=None).message == "Max duration limit exceeded"
    )


def test_nothing_is_tried_again_after_a_stop() -> None:
    verdict = after_attempt(RetryStrategy.model_validate({"limit": 9}), _attempts(1), {}, stop="stopped")
    assert (verdict.again, verdict.message) == (False, "stopped")
