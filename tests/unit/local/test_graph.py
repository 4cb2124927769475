"""Loops: sequences and the names that an item brings."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import InvalidInput
from workflows.local.graph import item_scope, sequence
from workflows.local.models import Sequence


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({"count": 3}, ["0", "1", "2"]),
        ({"start": 2, "end": 4}, ["2", "3", "4"]),
        ({"start": 4, "end": 2}, ["4", "3", "2"]),
        ({"count": 2, "start": 5, "format": "r%03d"}, ["r005", "r006"]),
        ({"count": 0}, []),
    ],
)
def test_sequences(spec: dict[str, Any], texts: list[str]) -> None:
    assert sequence(Sequence.model_validate(spec)) == texts


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"count": 1, "end": 2},
        {"count": "x"},
        {"count": 10**9},
        {"count": 1, "format": "%s%s"},
        {"count": 1, "format": "%(a)s"},
    ],
)
def test_what_is_no_sequence(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sequence(Sequence.model_validate(spec))


def test_items() -> None:
    assert item_scope({"a": 1, "b": [True]}) == {
        "item": '{"a":1,"b":[true]}',
        "item.a": "1",
        "item.b": "[true]",
    }
    assert item_scope(False) == {"item": "false"}
