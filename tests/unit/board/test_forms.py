"""What is no form of a page of ours is refused, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.support.board import log_in

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_another_site_sends_nothing(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    csrf = log_in(client)
    done = client.post("/logout", data={"csrf": csrf}, headers=headers)
    assert done.status_code == status and done.json()["error"] == "forged"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("mark", ["", "x", "é"])
def test_a_form_without_the_mark_of_the_login_is_refused(client: httpx.Client, mark: str) -> None:
    log_in(client)
    assert client.post("/logout", data={"csrf": mark}).status_code == 403


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 422),
        (b"x", {"content-type": "multipart/form-data; boundary=x"}, 422),
        (b"csrf=a&csrf=b", FORM, 422),
        (b"a=%ff", FORM, 422),
        ("a=é".encode(), FORM, 422),
        (b"&".join(b"a%d=1" % n for n in range(300)), FORM, 422),
        (b"a=" + b"x" * (300 << 10), FORM, 413),
    ],
)
def test_a_body_that_is_no_form(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    log_in(client)
    assert client.post("/logout", content=body, headers=headers).status_code == status
