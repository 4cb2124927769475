"""The check of a service's token."""

from __future__ import annotations

import base64
import binascii
import hmac

from fastapi import Request
from pydantic import SecretStr

from services.common.errors import Refused

_BEARER, _BASIC = 'Bearer realm="rookery"', 'Basic realm="rookery", charset="UTF-8"'


class Unauthorized(Refused):
    """Somebody who does not know the token, or is not logged in."""

    code = "unauthorized"
    status = 401
    challenge = _BEARER


class Bearer:
    """Lets those pass who say `Authorization: Bearer TOKEN` (RFC 6750); a dependency of routes.

    Args:
        token: an empty one lets everybody pass.
        purpose: the sentence that others are told.
        people: whether the token is taken as a password too (RFC 7617), which a browser asks its user for. Only for
            what changes nothing: a browser sends it along with the requests of other pages.
    """

    def __init__(self, token: SecretStr, purpose: str, *, people: bool = False) -> None:
        self._token = token.get_secret_value().encode()
        self._purpose = purpose
        self._people = people

    def __call__(self, request: Request) -> None:
        """Raises Unauthorized for those who do not know the token."""
        if self._token and not self._knows(request.headers.get("authorization", "")):
            error = Unauthorized(self._purpose, allowed="Authorization: Bearer …")
            if self._people:
                error.challenge = _BASIC
            raise error

    def _knows(self, said: str) -> bool:
        scheme, _, given = said.partition(" ")
        token = given.strip().encode()
        if scheme.lower() == "basic" and self._people:
            try:
                token = base64.b64decode(token, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(token, self._token)
