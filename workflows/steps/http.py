"""Calls to the train and evaluate services that outlive a restart of either."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import SecretStr

from services.common.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError, Unavailable
from services.common.trust import trust_for

_BY_STATUS: dict[int, type[RookeryError]] = {
    404: NotFound,
    409: Conflict,
    400: InvalidInput,
    422: InvalidInput,
}
_RETRIED = frozenset({429, 500, 502, 503, 504})


def call(
    method: str,
    url: str,
    *,
    patience_seconds: float,
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> httpx.Response:
    """Send a request, again when nobody answers or the answer is a 5xx or 429, until patience ends.

    The caller must make the request repeatable, by its nature or by an idempotency key. `told` is given what went
    wrong, each time.

    Returns:
        an answer whose status is 2xx.

    Raises:
        Unavailable: no such answer in `patience_seconds`.
        InvalidInput, NotFound, Conflict, Refused: the service refused; its own message is kept.
    """
    deadline = time.monotonic() + patience_seconds
    pause = 0.2
    while True:
        try:
            answer = httpx.request(
                method, url, params=params, headers=headers, timeout=30.0, verify=trust_for(url)
            )
        except httpx.TransportError as error:
            last = f"{type(error).__name__}: {error}"
        else:
            if answer.is_success:
                return answer
            if answer.status_code not in _RETRIED:
                raise _BY_STATUS.get(answer.status_code, Refused)(message_of(answer))
            last = f"{answer.status_code}: {message_of(answer)}"
            pause = max(pause, _retry_after(answer))
        told(last)
        if time.monotonic() + pause > deadline:
            raise Unavailable(f"{method} {url} had no answer for {patience_seconds:.0f} s: {last}")
        time.sleep(pause)
        pause = min(pause * 2, 5.0)


def bearer(token: SecretStr) -> dict[str, str]:
    """The header that says a token; none where the token is empty."""
    text = token.get_secret_value()
    return {"Authorization": f"Bearer {text}"} if text else {}


def message_of(answer: httpx.Response) -> str:
    """What the service said of its refusal, as one line."""
    try:
        body: Any = answer.json()
    except ValueError:
        return answer.text[:500]
    if not isinstance(body, dict):
        return str(body)[:500]
    text = str(body.get("message") or body.get("detail") or body)
    if body.get("value"):
        text += f" (got {body['value']})"
    if body.get("allowed"):
        text += f"; allowed: {body['allowed']}"
    return text[:1000]


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 10.0) if text.isdigit() else 0.0
