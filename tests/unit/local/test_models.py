"""Durations, nearest names and the models' own rules."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from workflows.local import fields, models
from workflows.local.models import RetryStrategy, nearest, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("30s", 30), ("1m30s", 90), ("2h", 7200), ("1d", 86400), ("500ms", 0.5), ("1.5s", 1.5)],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "x", "5 s", "1m30", "-5", "1y", "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidInput, match="no duration"):
        seconds(text)


def test_nearest() -> None:
    assert nearest("entrypont", {"entrypoint", "x"}) == "did you mean 'entrypoint'?"
    assert nearest("zzz", {"entrypoint"}) is None


def test_the_policy_in_force_is_that_of_argo() -> None:
    assert RetryStrategy.model_validate({}).policy == "OnFailure"
    assert RetryStrategy.model_validate({"expression": "true"}).policy == "Always"
    assert RetryStrategy.model_validate({"expression": "true", "retryPolicy": "OnError"}).policy == "OnError"


def test_no_field_is_in_two_tables() -> None:
    tables = [("WORKFLOW", models.Spec), ("TEMPLATE", models.Template), ("CONTAINER", models.Container)]
    for name, model in tables:
        harmless, unsupported = getattr(fields, f"HARMLESS_{name}"), getattr(fields, f"UNSUPPORTED_{name}")
        supported = {field.alias for field in model.model_fields.values()}
        assert not harmless & unsupported
        assert not (harmless | unsupported) & supported
