"""Receive one file from an untrusted client: bounded bytes, bounded memory, early refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.common.errors import InvalidInput, TooLarge, Unavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_FORM_OVERHEAD = 64 << 10
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16 << 20


class ClientGone(Exception):
    """The client closed the connection, or was too slow, before its request was whole."""


class Uploads:
    """Reads uploads of at most `max_bytes` each, together holding at most `buffered_bytes` of memory."""

    def __init__(self, max_bytes: int, buffered_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.buffered_bytes = buffered_bytes
        self.held = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The bytes of the one file in the request: the raw body, or the form field `file`.

        Raises:
            TooLarge: more bytes than allowed; refused before they are read where a length is given.
            InvalidInput: an empty body, or a form without a file.
            Unavailable: other uploads hold the memory.
            ClientGone: the connection ended first.
        """
        length, content_type = -1, b""
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = int(value) if value.isdigit() else -1
            elif name == b"content-type":
                content_type = value
        form = content_type[:19].lower() == b"multipart/form-data"
        limit = self.max_bytes + (_FORM_OVERHEAD if form else 0)
        if length > limit:
            raise self._too_large(length)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, receive, limit)
        elif len(body) > limit:
            raise self._too_large(len(body))
        if form:
            body = file_of_form(body, content_type)
        if not body:
            raise InvalidInput(
                "the request has no bytes", allowed="one sound or picture as body or field `file`"
            )
        if len(body) > self.max_bytes:
            raise self._too_large(len(body))
        return body

    async def _rest(self, first: bytes, receive: Receive, limit: int) -> bytes:
        parts, size, more = [first], len(first), True
        self.held += size
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                self.held += len(part)
                if size > limit:
                    raise self._too_large(size)
                if self.held > self.buffered_bytes:
                    raise Unavailable("other uploads fill the memory, try again soon")
                parts.append(part)
            return b"".join(parts)
        finally:
            self.held -= size

    def _too_large(self, size: int) -> TooLarge:
        return TooLarge("the upload is too large", value=size, allowed=f"at most {self.max_bytes} bytes")


async def linger(receive: Receive) -> None:
    """Read and drop what a refused client still sends, for a moment, so that it reads the answer before a reset."""
    dropped = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while dropped < _LINGER_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                dropped += len(message.get("body", b""))
    except TimeoutError:
        return


def file_of_form(body: bytes, content_type: bytes) -> bytes:
    """The content of the field `file` of a multipart form, else of the first field that has a file name.

    Raises:
        InvalidInput: the form is broken, or there is no file in it.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidInput("the form has no boundary", allowed="multipart/form-data; boundary=…")
    fields = _Fields()
    try:
        parser = MultipartParser(boundary, fields.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"the form cannot be read: {error}") from error
    if fields.chosen is None:
        raise InvalidInput("the form has no file", value=fields.names, allowed="a field named `file`")
    return fields.chosen


class _Fields:
    """Collects the parts of a form; keeps one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.chosen: bytes | None = None
        self._named_file = False
        self._header = self._value = b""
        self._disposition = b""
        self._parts: list[bytes] = []

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition, self._parts = b"", []

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._parts.append(data[start:end])

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if len(self.names) < 20:
            self.names.append(name)
        if name == "file" and not self._named_file:
            self.chosen, self._named_file = b"".join(self._parts), True
        elif b"filename" in options and self.chosen is None:
            self.chosen = b"".join(self._parts)
        self._parts = []
