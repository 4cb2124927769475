from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import InvalidInput
from services.monitor.objects import FolderObjects
from services.monitor.reference import References, parse_reference
from tests.support.predictions import BUNDLE, reference


def body(**changes: Any) -> bytes:
    return json.dumps(json.loads(reference().model_dump_json(by_alias=True)) | changes).encode()


def test_it_is_kept_and_found_again(tmp_path: Path) -> None:
    References(FolderObjects(tmp_path)).add(parse_reference(body()))
    again = References(FolderObjects(tmp_path))
    assert again.find(BUNDLE) == reference()
    assert again.find("sha256:" + "0" * 64) is None


def test_one_of_a_server_that_tells_no_golden_inputs_is_read() -> None:
    content = json.loads(body())
    del content["golden"]
    assert parse_reference(json.dumps(content).encode()).golden == []


def test_what_cannot_be_counted_with_is_left_out() -> None:
    edges = {"flat": {"edges": [1.0, 1.0], "counts": [3]}, "falling": {"edges": [2.0, 1.0], "counts": [3]}}
    found = parse_reference(body(reference=edges))
    assert found.numeric() == {}
    assert found.label_counts() is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"bundle_digest": "sha256:../x"}, "bundle_digest"),
        ({"labels": []}, "labels"),
        ({"reference": {"A B": {"edges": [0, 1], "counts": [1]}}}, "reference"),
        ({"reference": {"a": {"edges": [0, 1], "counts": [1, 2]}}}, "reference.a"),
        ({"schema": "other"}, "schema"),
        ({"more": 1}, "more"),
        ({"golden": ["../x"]}, "golden"),
        ({"golden": ["0" * 64] * 1001}, "golden"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidInput, match=place):
        parse_reference(body(**change))


def test_a_huge_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        parse_reference(b" " * (5 << 20))
