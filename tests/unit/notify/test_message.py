from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.notify.message import MOST_FACTS, MOST_SUBJECT, MOST_VALUE, one_line, parse_message, plain


def raw(**changes: object) -> bytes:
    return json.dumps(
        {"kind": "gate", "application": "digits", "environment": "", "subject": "s", "facts": {}} | changes
    ).encode()


def test_a_message_is_read() -> None:
    message = parse_message(
        raw(environment="canary", facts={"version": 3, "nothing": None, "share": 0.5, "yes": True})
    )
    assert message.place == "digits canary"
    assert message.facts == {"version": "3", "nothing": "", "share": "0.5", "yes": "True"}


def test_a_subject_is_one_line_and_nobody_sees_orders_in_it() -> None:
    subject = parse_message(raw(subject="a\r\nBcc: all@example.org\x00\x1b[2J\u202eb\u2028c")).subject
    assert subject == "a Bcc: all@example.org [2J b c"


@given(st.text())
def test_plain_text_has_no_control_characters_but_line_ends(text: str) -> None:
    assert not {c for c in plain(text) if ord(c) < 32 and c != "\n"}
    assert "\n" not in one_line(text) and "\r" not in one_line(text)
    one_line(text).encode()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "joke"}, "there is no such kind"),
        ({"kind": ["gate"]}, "kind"),
        ({"application": "../etc"}, "application"),
        ({"environment": "a\nb"}, "environment"),
        ({"subject": ""}, "subject"),
        ({"subject": "x" * (MOST_SUBJECT + 1)}, "subject"),
        ({"facts": {str(n): "" for n in range(MOST_FACTS + 1)}}, "facts"),
        ({"facts": {"a": "x" * (MOST_VALUE + 1)}}, "4001 characters"),
        ({"facts": {"a\nb": "x"}}, "names of facts"),
        ({"facts": {"a": {"b": 1}}}, "no text or number"),
        ({"facts": ["a"]}, "facts"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_message_is_refused_with_its_part(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_message(raw(**changes))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_bytes_that_are_no_json_object(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_message(data)
