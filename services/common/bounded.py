"""A bound on what a service reads of a request, before it knows who sends it and before anything is parsed."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.errors import TooLarge


class BoundedBody:
    """ASGI middleware that answers 413 where a body has more bytes, whatever its head says of its length.

    Args:
        most_bytes: that the service takes, and that this keeps in memory.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        read: list[Message] = []
        size, more = 0, True
        while more:
            message = await receive()
            read.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > self._most:
                status, body = TooLarge("the body is too large", allowed=f"{self._most:,} bytes").answer()
                await JSONResponse(body, status)(scope, receive, send)
                return
        read.reverse()

        async def again() -> Message:
            return read.pop() if read else await receive()

        await self._app(scope, again, send)
