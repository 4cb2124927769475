"""Tell people what happened: one message to the notify service, best effort, never more than a second.

A step that succeeded must not fail because nobody could be told, so nothing here raises.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.errors import RookeryError
from services.common.settings import Settings

Kind = Literal["gate", "promotion", "rollback", "drift", "failure", "decision", "labels"]
# The whole call, with name lookup and a server that answers byte by byte.
MOST_SECONDS = 0.9
MOST_SUBJECT, MOST_TEXT = 300, 2000
_log = logging.getLogger(__name__)


class NoticeSettings(Settings):
    """Where those who have something to tell find the notify service."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_NOTICES_", extra="forbid", frozen=True)

    url: str = Field("", description="notify service, such as http://127.0.0.1:9097; empty: nobody is told")
    token: SecretStr = Field(SecretStr(""), description="what the notify service wants to be told")


def tell(kind: Kind, application: str, environment: str, subject: str, **facts: object) -> bool:
    """Hand one message over; whether it arrived.

    The same words with the same facts are one message, however often they are told: a step that runs twice tells
    once. What happened twice must differ in a fact, such as the workflow or the time.

    Args:
        environment: empty where the message is about none.
        subject: one line for people.
        facts: names and values for the message's table; values are made text, and cut at 2000 characters.
    """
    try:
        settings = NoticeSettings()
    except (RookeryError, ValueError) as error:
        _log.warning("nobody is told: %s", error)
        return False
    if not settings.url:
        return False
    texts = {name: str(value)[:MOST_TEXT] for name, value in facts.items() if value not in (None, "")}
    message = {
        "kind": kind,
        "application": application,
        "environment": environment,
        "subject": " ".join(subject.split())[:MOST_SUBJECT] or kind,
        "facts": texts,
    }
    arrived = threading.Event()
    worker = threading.Thread(target=_post, args=(settings, message, arrived), name="notice", daemon=True)
    worker.start()
    worker.join(MOST_SECONDS)
    if not arrived.is_set():
        _log.warning("the notify service at %s was not told: %s", settings.url, subject)
    return arrived.is_set()


def key_of(message: dict[str, Any]) -> str:
    """What makes two messages the same."""
    return hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()


def _post(settings: NoticeSettings, message: dict[str, Any], arrived: threading.Event) -> None:
    import httpx

    from services.common.trust import trust_for

    headers = {"Idempotency-Key": key_of(message)}
    if token := settings.token.get_secret_value():
        headers["Authorization"] = f"Bearer {token}"
    url = settings.url.rstrip("/") + "/messages"
    try:
        answer = httpx.post(
            url, json=message, headers=headers, timeout=MOST_SECONDS, trust_env=False, verify=trust_for(url)
        )
    except (RookeryError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        _log.info("%s: %s", type(error).__name__, error)
        return
    if answer.is_success:
        arrived.set()
    else:
        _log.warning("the notify service answered %d: %s", answer.status_code, answer.text[:300])
