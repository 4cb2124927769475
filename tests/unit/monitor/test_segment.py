from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput, TooLarge
from services.monitor import segment as module
from services.monitor.segment import parse_segment
from tests.support.predictions import NOON, failure, feedback, head, prediction, segment


def test_every_kind_of_record_is_read() -> None:
    found = parse_segment(segment([prediction(1), failure(NOON), feedback(1, ["jay"]), prediction(2)]))
    assert found.predictions.time == [NOON + 1, NOON + 2]
    assert found.failures == [(NOON, 500, 0.5, False)]
    assert found.feedback[0][2] == ["jay"]
    assert found.broken == 0
    assert found.head.date == "2026-06-01"


def test_features_that_come_and_go_are_nan_where_they_are_not() -> None:
    records = [
        prediction(n, features=f) for n, f in enumerate([{"a": 1.0}, {"b": 2.0}, {}, {"a": None, "b": 3}])
    ]
    found = parse_segment(segment(records)).predictions.features
    np.testing.assert_equal(found, {"a": [1.0, np.nan, np.nan, np.nan], "b": [np.nan, 2.0, np.nan, 3.0]})


@pytest.mark.parametrize(
    "change",
    [
        {"time": -1},
        {"time": 5_000_000_000_000},
        {"time": 1.5},
        {"time": True},
        {"request_id": "x"},
        {"request_id": None},
        {"digest": "../../etc/passwd"},
        {"labels": []},
        {"labels": [["owl"]]},
        {"labels": [["owl", 2.0]]},
        {"labels": [["", 0.5]]},
        {"labels": [[7, 0.5]]},
        {"labels": [["x" * 201, 0.5]]},
        {"labels": [["owl", 0.1]] * 6},
        {"novelty": "1"},
        {"novelty": None},
        {"seconds": -1},
        {"seconds": 1e9},
        {"source": "<script>"},
        {"source": 4},
        {"features": {"A b": 1.0}},
        {"features": {f"f{n}": 1.0 for n in range(65)}},
        {"features": {"a": "1"}},
        {"features": []},
    ],
)
def test_a_bad_record_is_counted_and_left_out(change: dict[str, Any]) -> None:
    found = parse_segment(segment([prediction(1), prediction(2, **change), prediction(3)]))
    assert found.broken == 1
    columns = found.predictions
    assert columns.time == [NOON + 1, NOON + 3]
    assert {len(column) for column in (columns.labels, columns.seconds, columns.source, columns.novel)} == {2}
    assert all(len(values) == 2 for values in columns.features.values())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"7",
        b'["q"]',
        b'["p"]',
        b"nul",
        b"\xff",
        b'["f",1,200,0]',
        b'["b",1,"x",[]]',
        b"[[]]",
    ],
)
def test_lines_that_are_no_record(line: bytes) -> None:
    found = parse_segment(segment([prediction(1)]) + line + b"\n")
    assert (found.broken, len(found.predictions.time)) == (1, 1)


def test_the_torn_last_line_of_a_killed_process_is_left_out() -> None:
    data = segment([prediction(1), prediction(2)])
    found = parse_segment(data[:-20])
    assert (found.broken, found.predictions.time) == (1, [NOON + 1])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"application": "../x"}, "application"),
        ({"environment": "a/b"}, "environment"),
        ({"segment": "../../x"}, "segment"),
        ({"bundle_digest": "sha256:"}, "bundle_digest"),
        ({"schema": "rookery.predictions/2"}, "schema"),
        ({"opened": -1}, "opened"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_head_that_lies_is_refused_by_name(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidInput, match=place):
        parse_segment(json.dumps(head() | change).encode() + b"\n")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(InvalidInput):
        parse_segment(data)
    found = parse_segment(segment([]) + data)
    assert len(found.predictions.time) == 0 or found.broken == 0


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(TooLarge):
        parse_segment(segment([prediction(1)]))
