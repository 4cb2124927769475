from __future__ import annotations

import json
from typing import Any

import pytest

from services.common.errors import InvalidInput
from services.notify.alerts import parse_alerts
from services.observe import configuration
from services.observe.configuration import Places

NOON = 1_780_315_200.0


def alert(name: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "page", **labels},
        "annotations": {"summary": f"{name} is high", "description": f"{name} for 5 minutes"},
        "startsAt": "2026-06-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://x",
        "fingerprint": f"{name}{sorted(labels)}"[:64],
    }


def group(*alerts: dict[str, Any], **more: object) -> bytes:
    body = {
        "version": "4",
        "groupKey": "{}:{}",
        "status": "firing",
        "receiver": "notify",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "",
        "truncatedAlerts": 0,
        "alerts": list(alerts),
    }
    return json.dumps(body | more).encode()


def test_a_group_is_one_message() -> None:
    place = {"application": "digits", "environment": "production"}
    _, message = parse_alerts(
        group(alert("A", **place), alert("B"), alert("C", "resolved"), truncatedAlerts=2)
    )
    assert message.kind == "alert"
    assert message.place == "digits production"
    assert message.subject == "FIRING: A is high and 4 more"
    assert message.facts["1"] == "firing: A for 5 minutes"
    assert (message.facts["firing"], message.facts["resolved"]) == ("2", "1")


def test_what_alertmanager_repeats_after_its_interval_is_a_reminder() -> None:
    every = configuration.alertmanager(Places("o", "p", "a", "n"), token=False)["route"]["repeat_interval"]
    assert every == "12h"
    keys = {parse_alerts(group(alert("A")), NOON + hours * 3600)[0] for hours in (0, 12, 24)}
    assert len(keys) == 3


def test_the_same_state_has_the_same_key_and_its_end_another() -> None:
    first, again = (
        parse_alerts(group(alert("A"), alert("B")), NOON)[0],
        parse_alerts(group(alert("B"), alert("A")), NOON + 300)[0],
    )
    assert first == again
    resolved = group(alert("A", "resolved"), alert("B", "resolved"), status="resolved")
    ended, message = parse_alerts(resolved, NOON)
    assert ended != first
    assert message.subject == "resolved: A is high and 1 more"


def test_a_storm_fits_a_message() -> None:
    many = [alert(f"N{n}", application="x" * 200, line="a\nb" * 5000) for n in range(300)]
    for one in many:
        one["annotations"]["description"] = "long \n" * 3000
    _, message = parse_alerts(group(*many))
    assert message.application == ""
    assert message.subject.endswith("and 299 more")
    assert len(message.facts) < 30


def test_an_alert_without_annotations_shows_its_labels() -> None:
    bare = alert("A") | {"annotations": {}}
    assert "'alertname': 'A'" in parse_alerts(group(bare))[1].facts["1"]


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", group(), group({"status": 3}), b'{"version": "4", "status": "firing"}']
)
def test_what_alertmanager_never_says_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="no notification of Alertmanager"):
        parse_alerts(data)
