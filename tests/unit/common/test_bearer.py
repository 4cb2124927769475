"""Who knows the token passes, as a program or as a person with a browser."""

from __future__ import annotations

import base64

import pytest
from fastapi import Request
from pydantic import SecretStr

from services.common.bearer import Bearer, Unauthorized

TOKEN = "a-token:für-tests"


def request(said: str | None) -> Request:
    headers = [] if said is None else [(b"authorization", said.encode("utf-8"))]
    return Request({"type": "http", "headers": headers})


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def passes(said: str | None, *, token: str = "a-token", people: bool = False) -> bool:
    try:
        Bearer(SecretStr(token), "no", people=people)(request(said))
    except Unauthorized:
        return False
    return True


def test_without_a_token_everybody_passes() -> None:
    assert passes(None, token="") and passes("Bearer anything", token="")


def test_only_the_token_passes() -> None:
    assert passes("Bearer a-token") and passes("bearer  a-token ")
    for said in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer a-toke",
        "Bearer a-token2",
        "a-token",
        "Digest a-token",
    ):
        assert not passes(said), said


def test_people_say_it_as_a_password_where_that_changes_nothing() -> None:
    assert passes(basic("ann:a-token"), people=True) and passes(basic(f":{TOKEN}"), token=TOKEN, people=True)
    assert not passes(basic("ann:a-token"))
    for said in (basic("a-token:ann"), basic("a-token"), "Basic !", "Basic", basic("ann:a-token ")):
        assert not passes(said, people=True), said


def test_a_browser_is_told_to_ask_only_where_people_read() -> None:
    for people, scheme in ((False, "Bearer"), (True, "Basic")):
        with pytest.raises(Unauthorized, match="told to nobody") as error:
            Bearer(SecretStr("a-token"), "told to nobody", people=people)(request(None))
        assert error.value.challenge.startswith(scheme)
        assert error.value.answer()[0] == 401
