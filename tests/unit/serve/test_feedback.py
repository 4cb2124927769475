from __future__ import annotations

import json

import pytest

from services.common.errors import InvalidInput
from services.serve.feedback import parse


def test_labels_that_the_model_does_not_know_are_welcome() -> None:
    given = parse(json.dumps({"request_id": "x", "labels": ["Kākāpō", "new species"]}).encode())
    assert given.labels == ["Kākāpō", "new species"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body"),
        (b"[]", "the body"),
        (b'{"request_id": "x"}', "labels"),
        (b'{"request_id": 1, "labels": []}', "request_id"),
        (b'{"request_id": "x", "labels": "owl"}', "labels"),
        (b'{"request_id": "x", "labels": [""]}', r"labels\.0"),
        (b'{"request_id": "x", "labels": [], "who": "me"}', "who"),
        (json.dumps({"request_id": "x", "labels": ["a"] * 21}).encode(), "labels"),
        (json.dumps({"request_id": "x", "labels": ["a" * 121]}).encode(), r"labels\.0"),
        (json.dumps({"request_id": "x", "labels": ["a\nb"]}).encode(), "cannot be printed"),
        (b"\xff\xfe", "the body"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse(body)
