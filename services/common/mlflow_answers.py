"""What an answer of MLflow says."""

from __future__ import annotations

from typing import Any

import httpx

from services.common.errors import Unavailable

_COLLISIONS = ("UNIQUE constraint failed", "UniqueViolation")


def is_missing(answer: httpx.Response) -> bool:
    """Whether it says that there is no such thing."""
    if answer.status_code == httpx.codes.NOT_FOUND:
        return True
    # An alias that does not exist is answered with 400 and this text.
    return answer.status_code == httpx.codes.BAD_REQUEST and "not found" in answer.text.lower()


def is_collision(answer: httpx.Response) -> bool:
    """Whether two callers at once met in the database, so that asking again is answered.

    MLflow's set-tag reads and then inserts: of two callers one gets a 400 with the words of SQLite or PostgreSQL. The
    same words with RESOURCE_ALREADY_EXISTS say that a name is taken, which no second question changes.
    """
    if answer.status_code != httpx.codes.BAD_REQUEST or not any(
        words in answer.text for words in _COLLISIONS
    ):
        return False
    try:
        return bool(answer.json().get("error_code") != "RESOURCE_ALREADY_EXISTS")
    except (ValueError, AttributeError):
        return True


def object_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        Unavailable: it is none; what a proxy says in MLflow's place counts as no answer.
    """
    try:
        return dict(answer.json())
    except (ValueError, TypeError) as error:
        raise Unavailable("MLflow's answer is no JSON object", value=answer.text[:200]) from error


def message_of(answer: httpx.Response) -> str:
    """What it says of an error, 500 characters at most."""
    try:
        return str(answer.json().get("message", answer.text))[:500]
    except (ValueError, AttributeError):
        return answer.text[:500]
