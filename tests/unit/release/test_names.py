"""Names, versions and free text are checked before they become paths or trailers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from workflows.release.names import check_name, check_token, check_version, one_line


@pytest.mark.parametrize("name", ["digits", "a", "b2", "great-tits-2026", "x" * 40])
def test_plain_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "A", "-a", "a-", "a b", "a\n", "ä", "x" * 41, "a.b", "$(id)", "a\0", ".git"]
)
def test_other_names_are_refused_with_the_value(name: str) -> None:
    with pytest.raises(InvalidInput, match="no name of an application"):
        check_name(name)


@pytest.mark.parametrize("version", ["1", "42", "999999999999"])
def test_a_version_is_a_number(version: str) -> None:
    assert check_version(version) == int(version)


@pytest.mark.parametrize("version", ["", "0", "-1", "01", "1.0", " 1", "1\n", "1e3", "٣", "latest"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(InvalidInput):
        check_version(version)


@given(st.text())
def test_free_text_becomes_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 500
    assert line == line.strip()
    assert line.isprintable()
    assert len(line.splitlines()) <= 1


@given(st.text())
def test_a_token_has_no_space_and_no_line_end(text: str) -> None:
    try:
        token = check_token(text, "workflow")
    except InvalidInput:
        return
    assert token == text
    assert not any(character.isspace() for character in token)
    assert token[0].isalnum()
