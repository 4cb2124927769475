"""References are read strictly; what a real registry does is in tests/local."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from tests.support.release import digest
from workflows.release.registry import parse_reference


@pytest.mark.parametrize(
    ("text", "scheme", "name", "version"),
    [
        ("127.0.0.1:5000/rookery/digits", "http", "127.0.0.1:5000/rookery/digits", None),
        ("registry.example/a", "https", "registry.example/a", None),
        ("http://registry.rookery.svc:5000/a/b:v1", "http", "registry.rookery.svc:5000/a/b", "v1"),
        (f"localhost:5000/a@{digest('x')}", "http", "localhost:5000/a", digest("x")),
        ("https://localhost/a", "https", "localhost/a", None),
    ],
)
def test_references(text: str, scheme: str, name: str, version: str | None) -> None:
    found = parse_reference(text)
    assert (found.scheme, found.name, found.version) == (scheme, name, version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "host/",
        "host/../x",
        "host/A",
        "host/a b",
        "host/a@sha256:0",
        "host/a:!",
        "-h/a",
        "ho st/a",
        "ftp://h/a",
        "h/a?x=1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_reference(text)


@given(st.text(max_size=60))
def test_no_text_leads_out_of_the_path(text: str) -> None:
    try:
        found = parse_reference(text)
    except InvalidInput:
        return
    assert ".." not in found.repository.split("/")
    assert not set(found.name) & set("?#@ \n")
