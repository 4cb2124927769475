"""What Alertmanager says, as one message for each change of a group.

Source: the webhook of Alertmanager, version 4 of its body.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from services.common.errors import InvalidInput
from services.notify.message import MOST_SUBJECT, MOST_VALUE, Message, one_line, plain

_SHOWN = 20
# Half of the `repeat_interval` in services.observe.configuration.
_SAME_SECONDS = 6 * 3600
_PLACE = re.compile(r"[a-z0-9-]{1,63}")


class _Alert(BaseModel):
    status: str = Field(max_length=20)
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: str = Field("", max_length=64)  # noqa: N815
    fingerprint: str = Field("", max_length=64)


class _Group(BaseModel):
    version: str
    groupKey: str = ""  # noqa: N815
    status: str = Field(max_length=20)
    groupLabels: dict[str, str] = Field(default_factory=dict)  # noqa: N815
    alerts: list[_Alert] = Field(min_length=1, max_length=10_000)
    truncatedAlerts: int = 0  # noqa: N815


def parse_alerts(data: bytes, at: float | None = None) -> tuple[str, Message]:
    """The key and the message of a notification; the same alerts in the same state have the same key for six hours.

    Alertmanager says the same again when it had no answer, and after `repeat_interval`, which is to remind people.

    Args:
        at: when it came, seconds since 1970; None: now.

    Raises:
        InvalidInput: the body is none of Alertmanager's.
    """
    try:
        group = _Group.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidInput(f"this is no notification of Alertmanager: `{name}`: {first['msg']}") from error
    states = sorted((one.fingerprint, one.status, one.startsAt) for one in group.alerts)
    span = int((time.time() if at is None else at) // _SAME_SECONDS)
    key = hashlib.sha256(repr((group.groupKey, states, span)).encode()).hexdigest()
    return key, _message(group)


def _message(group: _Group) -> Message:
    firing = [one for one in group.alerts if one.status == "firing"]
    first = (firing or group.alerts)[0]
    labels = first.labels
    summary = first.annotations.get("summary") or labels.get("alertname") or "alert"
    count = len(group.alerts) + group.truncatedAlerts
    more = f" and {count - 1} more" if count > 1 else ""
    state = "FIRING" if firing else "resolved"
    facts: dict[str, Any] = {
        "alert": labels.get("alertname", ""),
        "severity": labels.get("severity", ""),
        "firing": len(firing),
        "resolved": len(group.alerts) - len(firing),
        "since": first.startsAt,
    }
    for number, one in enumerate(group.alerts[:_SHOWN], 1):
        text = one.annotations.get("description") or one.annotations.get("summary") or str(one.labels)
        facts[f"{number}"] = plain(f"{one.status}: {text}")[:MOST_VALUE]
    return Message(
        kind="alert",
        application=_place(labels.get("application", "")),
        environment=_place(labels.get("environment", "")),
        subject=one_line(f"{state}: {summary}{more}")[:MOST_SUBJECT],
        facts={name: one_line(str(value))[:MOST_VALUE] for name, value in facts.items()},
    )


def _place(name: str) -> str:
    return name if _PLACE.fullmatch(name) else ""
