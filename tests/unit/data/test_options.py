from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.data.options import Options


def test_values_and_defaults() -> None:
    options = Options("species=6&overlap=0.5&format=ogg")
    assert options.integer("species", 1, 1, 9) == 6
    assert options.number("overlap", 0, 0, 1) == 0.5
    assert options.text("format", "wav", ("wav", "ogg")) == "ogg"
    assert options.integer("seed", 3, 0, 9) == 3
    options.finish()


@pytest.mark.parametrize("query", ["n", "n=1&n=2", "=", "n=1&&"])
def test_what_is_no_list_of_options(query: str) -> None:
    with pytest.raises(InvalidInput):
        options = Options(query)
        options.integer("n", 0, 0, 9)
        options.finish()


@pytest.mark.parametrize("value", ["", "-1", "10", "1.5", "x", "٣", "9" * 30, "0x1"])
def test_integers_out_of_bounds(value: str) -> None:
    with pytest.raises(InvalidInput, match="0 to 9"):
        Options(f"n={value}").integer("n", 1, 0, 9)


@pytest.mark.parametrize("value", ["nan", "inf", "-0.1", "1.1", "x"])
def test_numbers_out_of_bounds(value: str) -> None:
    with pytest.raises(InvalidInput, match="0 to 1"):
        Options(f"n={value}").number("n", 0, 0, 1)


def test_an_unknown_option_is_named_with_those_allowed() -> None:
    options = Options("sede=1")
    options.integer("seed", 1, 0, 9)
    with pytest.raises(InvalidInput, match=r"sede.*seed"):
        options.finish()
