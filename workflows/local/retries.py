"""What follows a failed attempt: another one, a wait before it, or the end, as Argo's retryStrategy has it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.common.errors import InvalidInput
from workflows.local.expressions import parse
from workflows.local.models import Backoff, RetryStrategy, seconds
from workflows.local.nodes import ERROR, FAILED, Node
from workflows.local.substitution import substitute

_TRANSIENT = ("exit code 64", "lost", "deadline", "timeout", "connection")


@dataclass(frozen=True)
class Verdict:
    """`again`: start another attempt now. `wait_until`: look again then (seconds since the epoch)."""

    again: bool
    message: str = ""
    wait_until: float | None = None


def after_attempt(
    strategy: RetryStrategy, attempts: Sequence[Node], scope: Mapping[str, str], *, stop: str | None
) -> Verdict:
    """The verdict after the last of the attempts failed. `stop`: why nothing may be tried again."""
    last = attempts[-1]
    if stop is not None:
        return Verdict(False, stop)
    limit = None if strategy.limit is None else _number(substitute(strategy.limit, scope), "limit")
    policy = strategy.policy
    transient = policy == "OnTransientError" and any(word in last.message.lower() for word in _TRANSIENT)
    if (last.phase == FAILED and policy not in ("Always", "OnFailure") and not transient) or (
        last.phase == ERROR and policy not in ("Always", "OnError") and not transient
    ):
        return Verdict(False, last.message)
    if limit is not None and len(attempts) > limit:
        return Verdict(False, "No more retries left")
    if strategy.expression is not None and not parse(strategy.expression, "expression").test(
        {**scope, **last_retry(len(attempts) - 1, last, unknown="-1")}.get
    ):
        return Verdict(False, "retryStrategy.expression evaluated to false")
    return _backoff(strategy.backoff, attempts, scope) if strategy.backoff is not None else Verdict(True)


def last_retry(number: int, last: Node | None, *, unknown: str = "0") -> dict[str, str]:
    """The variables `retries` and `lastRetry.*` before attempt `number`, or in an expression after it."""
    duration = (last.finished or last.started) - last.started if last else 0.0
    return {
        "retries": str(number),
        "lastRetry.exitCode": (last.exit_code if last else None) or unknown,
        "lastRetry.status": last.phase if last else "",
        "lastRetry.duration": f"{duration:g}",
        "lastRetry.message": last.message if last else "",
    }


def _number(text: str, name: str) -> int:
    if not text.isdigit():
        raise InvalidInput(f"retryStrategy.{name}: no number", value=text)
    return int(text)


def _backoff(backoff: Backoff, attempts: Sequence[Node], scope: Mapping[str, str]) -> Verdict:
    now = time.time()
    until = None
    if backoff.max_duration:
        until = attempts[0].started + seconds(substitute(backoff.max_duration, scope))
        if now > until:
            return Verdict(False, "Max duration limit exceeded")
    wait = seconds(substitute(backoff.duration, scope))
    if backoff.factor:
        wait *= min(
            float(_number(substitute(backoff.factor, scope), "backoff.factor")) ** (len(attempts) - 1), 1e9
        )
    if backoff.cap:
        wait = min(wait, seconds(substitute(backoff.cap, scope)))
    end = (attempts[-1].finished or now) + wait
    if until is not None and end > until:
        return Verdict(False, "Backoff would exceed max duration limit")
    return Verdict(True) if now >= end else Verdict(False, f"Backoff for {wait:g} seconds", wait_until=end)
