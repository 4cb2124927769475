"""Tags are replaced once, and what has no value is said with what was likely meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.local.substitution import Unresolved, substitute, substitute_all, tags


@given(st.text(max_size=50))
def test_values_are_never_read_again(value: str) -> None:
    assert substitute("<{{a}}|{{ a }}>", {"a": value, "b": "other"}) == f"<{value}|{value}>"


def test_what_has_no_value_is_named() -> None:
    with pytest.raises(
        Unresolved,
        match=r"failed to resolve \{\{inputs.parameters.wrod\}\}.*did you mean 'inputs.parameters.word'",
    ):
        substitute("{{inputs.parameters.wrod}}", {"inputs.parameters.word": "x"})


def test_expressions_in_tags() -> None:
    assert substitute("{{=asInt(inputs.parameters.n) + 1}}", {"inputs.parameters.n": "4"}) == "5"


def test_everything_inside_lists_and_mappings() -> None:
    assert substitute_all({"{{a}}": ["{{a}}", 1, {"x": "{{a}}"}]}, {"a": "v"}) == {
        "{{a}}": ["v", 1, {"x": "v"}]
    }
    assert tags({"x": ["{{a}} {{ b.c }}", 3], "y": "{{=d}}"}) == ["a", "b.c", "=d"]
