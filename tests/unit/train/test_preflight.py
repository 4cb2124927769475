from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.train.preflight import check_key, default_application


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("digits", "digits"),
        ("synthetic-birds?seed=1", "synthetic-birds"),
        ("/data/My Food 11/", "my-food-11"),
        ("s3://b/x", "x"),
    ],
)
def test_an_application_is_named_after_the_data(source: str, expected: str) -> None:
    assert default_application(source) == expected


def test_keys_that_could_change_a_search_are_refused() -> None:
    assert check_key(None) == ""
    assert check_key("wf-1:start/2") == "wf-1:start/2"
    for key in ("", "a'b", "a`b", "x" * 201, "a\nb"):
        with pytest.raises(InvalidInput, match="Idempotency-Key"):
            check_key(key)
