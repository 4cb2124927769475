"""Who may hand over which log: the servers of an environment know a token that is good for its log alone."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request
from pydantic import SecretStr

from services.common.bearer import Unauthorized

_ALLOWED = "Authorization: Bearer …"


def server_token(token: SecretStr, environment: str) -> str:
    """What the servers of one environment say, who can then neither read nor write for another.

    Nobody keeps it: the monitor computes it again, HMAC-SHA256 (RFC 2104) under its own token.

    Args:
        token: of the monitor.
        environment: application and environment, such as "birds-canary"; the name of its namespace.
    """
    key = token.get_secret_value().encode()
    return f"{environment}.{hmac.new(key, environment.encode(), hashlib.sha256).hexdigest()}"


class Writers:
    """Lets those pass who may hand over a log; a dependency of routes.

    Args:
        token: of the monitor; an empty one lets everybody pass.
    """

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def __call__(self, request: Request) -> str:
        """The environment that somebody may write for, such as "birds-canary"; empty: any.

        Raises:
            Unauthorized: for those who know neither the token nor one that follows from it.
        """
        token = self._token.get_secret_value()
        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        environment = said.rpartition(".")[0]
        if not token:
            return ""
        if scheme.lower() == "bearer":
            if _same(said, token):
                return ""
            if environment and _same(said, server_token(self._token, environment)):
                return environment
        raise Unauthorized("the log is taken from servers that know the token", allowed=_ALLOWED)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
