"""By which names a service is asked, so that no page of another site reaches one that has no token.

Who owns evil.example can have it mean 127.0.0.1 while a page of it is open (DNS rebinding). To the browser our answers
are then that page's own; only the Host header still says which name was asked for (RFC 9110, 7.2 and 15.5.20).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from services.common.errors import RookeryError
from services.common.settings import is_local

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::[0-9]*)?")
_MOST_SEEN = 256


class Misdirected(RookeryError):
    """A request for a name that this service is not known by."""

    code = "misdirected"
    status = 421


class Hosts:
    """The names that are answered.

    Args:
        names: besides localhost and addresses of this machine; None: every name is.
        addresses: whether every IP address is answered too; no name leads to one by somebody else's will.
    """

    def __init__(self, names: Iterable[str] | None, *, addresses: bool = False) -> None:
        self.any = names is None
        self._names = frozenset(names or ())
        self._addresses = addresses
        self._seen: set[bytes] = set()

    def knows(self, value: bytes) -> bool:
        """Whether a Host header is answered."""
        return self.any or value in self._seen or self._look(value)

    def admits(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these headers is answered; one without a Host header is not."""
        if self.any:
            return True
        named = False
        for name, value in headers:
            if name == b"host":
                if not self.knows(value):
                    return False
                named = True
        return named

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> Misdirected:
        """What is answered else."""
        said = b", ".join(value for name, value in headers if name == b"host").decode("latin-1")
        names = ", ".join(["localhost", "127.0.0.1", "[::1]", *sorted(self._names)])
        return Misdirected("this service is not known by that name", value=said, allowed=names)

    def _look(self, value: bytes) -> bool:
        found = _HOST.fullmatch(value.decode("latin-1").lower())
        if found is None:
            return False
        name = (found[1] or found[2]).removesuffix(".")
        known = name in self._names or is_local(name) or (self._addresses and _is_address(name))
        if known and len(self._seen) < _MOST_SEEN:
            self._seen.add(value)
        return known


class KnownHosts:
    """ASGI middleware that answers 421 where a request names another host."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._hosts.admits(scope["headers"]):
            await self._app(scope, receive, send)
            return
        # Whoever only reads settings, such as a training, does without the framework.
        from starlette.responses import JSONResponse

        status, body = self._hosts.refusal(scope["headers"]).answer()
        await JSONResponse(body, status)(scope, receive, send)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
