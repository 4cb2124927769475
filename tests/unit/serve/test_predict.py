from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.serve.predict import top_of


@pytest.mark.parametrize(
    ("query", "expected"), [(b"", None), (b"top=", None), (b"top=1", 1), (b"a=b&top=007", 7)]
)
def test_the_number_of_labels(query: bytes, expected: int | None) -> None:
    assert top_of(query) == expected


@pytest.mark.parametrize(
    "text", ["0", "-1", "none", "100001", "1e3", "000000001" + "0" * 5000, "1\u0663", "\u00b2"]
)
def test_what_is_no_number_of_labels(text: str) -> None:
    with pytest.raises(InvalidInput, match="`top`"):
        top_of(f"top={text}".encode())
