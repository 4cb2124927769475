from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput, TooLarge, Unavailable
from services.serve.upload import ClientGone, Uploads, file_of_form

FORM = b"multipart/form-data; boundary=XX"


def read(uploads: Uploads, chunks: list[bytes], headers: dict[str, str] | None = None) -> bytes:
    scope = {"headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()]}
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": place + 1 < len(chunks)}
        for place, chunk in enumerate(chunks)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return asyncio.run(uploads.read(scope, receive))


def form(*parts: tuple[str, bytes]) -> bytes:
    body = b"".join(
        b"--XX\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in parts
    )
    return body + b"--XX--\r\n"


def test_chunks_are_joined_and_nothing_stays_held() -> None:
    uploads = Uploads(100, 1000)
    assert read(uploads, [b"abc", b"def", b""]) == b"abcdef"
    assert uploads.held == 0


def test_a_length_over_the_limit_is_refused_before_reading() -> None:
    with pytest.raises(TooLarge, match="at most 100 bytes"):
        read(Uploads(100, 1000), [], {"content-length": "10737418240"})


def test_bytes_over_the_limit_are_refused_without_a_length() -> None:
    uploads = Uploads(100, 1000)
    with pytest.raises(TooLarge):
        read(uploads, [b"x" * 60, b"x" * 60, b"never read"])
    assert uploads.held == 0


def test_uploads_share_a_bound_of_memory() -> None:
    uploads = Uploads(100, 150)
    uploads.held = 100
    with pytest.raises(Unavailable):
        read(uploads, [b"x" * 40, b"x" * 40])
    assert uploads.held == 100


def test_a_client_that_leaves_ends_the_reading() -> None:
    uploads = Uploads(100, 1000)
    with pytest.raises(ClientGone):
        asyncio.run(_left(uploads))
    assert uploads.held == 0


async def _left(uploads: Uploads) -> None:
    messages = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    await uploads.read({"headers": []}, receive)


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no bytes"):
        read(Uploads(100, 1000), [b""])


def test_the_field_named_file_is_preferred() -> None:
    body = form(('name="other"; filename="a"', b"first"), ('name="file"; filename="b"', b"second"))
    assert file_of_form(body, FORM) == b"second"
    assert file_of_form(form(('name="picture"; filename="a.png"', b"data")), FORM) == b"data"


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (form(('name="note"', b"text")), FORM, "the form has no file"),
        (b"", FORM, "the form has no file"),
        (b"garbage", FORM, "the form cannot be read"),
        (form(('name="file"', b"x")), b"multipart/form-data", "no boundary"),
        (b"--XX\r\n" + b"A: b\r\n" * 50 + b"\r\n", FORM, "the form cannot be read"),
        (b"--XX\r\nA: " + b"b" * 10_000 + b"\r\n\r\n", FORM, "the form cannot be read"),
    ],
)
def test_broken_forms_are_refused_with_a_sentence(body: bytes, content_type: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        file_of_form(body, content_type)


@given(st.binary(min_size=1, max_size=500).filter(lambda data: b"--XX" not in data))
def test_any_bytes_come_out_of_a_form_as_they_went_in(data: bytes) -> None:
    assert file_of_form(form(('name="file"; filename="x"', data)), FORM) == data


@given(st.binary(max_size=300))
def test_no_bytes_break_the_form_reader(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        file_of_form(b"--XX\r\n" + data, FORM)
