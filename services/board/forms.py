"""What browsers send: bounded, of one kind, and from a page of ours alone."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from services.board.sessions import Session, same
from services.common.errors import InvalidInput, RookeryError, TooLarge

MOST_BYTES = 256 << 10
_MOST_FIELDS = 200
_KIND = "application/x-www-form-urlencoded"


class Forged(RookeryError):
    """A form that no page of this login sent."""

    code = "forged"
    status = 403


async def read_form(request: Request) -> dict[str, str]:
    """The fields; each may be there once.

    Raises:
        InvalidInput: another kind of body, no Unicode, too many fields, or one twice.
        TooLarge: more than 256 KiB.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        raise InvalidInput("a form is sent as another kind", value=kind or None, allowed=_KIND)
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MOST_BYTES:
            raise TooLarge("the form is too large", allowed=f"{MOST_BYTES} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise InvalidInput("the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput("a field of the form is there twice")
    return fields


def check_origin(request: Request) -> None:
    """Pass when the browser says that a page of ours sent this, or is one that says nothing.

    Raises:
        Forged: another site did.
    """
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Forged("this was sent by another site", value=site)
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise Forged("this was sent by another site", value=origin)


def check_csrf(fields: dict[str, str], session: Session) -> dict[str, str]:
    """The fields without the mark of this login.

    Raises:
        Forged: the mark is missing or another one.
    """
    if not same(fields.pop("csrf", ""), session.csrf):
        raise Forged("this form is not of your login: load the page again, then send it")
    return fields
