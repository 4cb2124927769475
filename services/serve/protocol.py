"""Uvicorn with what it lacks: a deadline for receiving a request, and a drain that fails nobody's request."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
_LATE_BODY = b'{"error":"too-slow","message":"the request did not arrive whole in time"}'


def deadline_protocol(seconds: float) -> type[HttpToolsProtocol]:
    """A protocol class that answers 408 and closes when a request has not arrived whole after `seconds`.

    The clock starts with the connection or, on a kept one, with the request's first bytes. A request that arrives
    in one piece costs no timer.
    """

    class DeadlineProtocol(HttpToolsProtocol):
        _receiving = False
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._clock = self.loop.call_later(seconds, self._late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_clock()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._receiving = True
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._receiving = False
            self._stop_clock()
            super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._clock is None and (self._receiving or self._unwatched()):
                self._clock = self.loop.call_later(seconds, self._late)

        def _unwatched(self) -> bool:
            idle = self.cycle is None or self.cycle.response_complete
            return idle and self.timeout_keep_alive_task is None

        def _stop_clock(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

        def _late(self) -> None:
            self._clock = None
            if self.transport.is_closing():
                return
            cycle = self.cycle
            fresh = cycle is None or cycle.response_complete
            if self._receiving and (fresh or not cycle.response_started):
                self.transport.write(_LATE % len(_LATE_BODY) + _LATE_BODY)
            if not fresh:
                scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
                scope["rookery.late"] = True
                cycle.disconnected = True
                cycle.message_event.set()
            self.transport.close()

    return DeadlineProtocol


class DrainingServer(Server):
    """Serves until SIGTERM, then drains.

    Draining: no new connections; every answer says `Connection: close`; connections that are idle may still send
    one request for `drain_seconds`, so a client that is just sending is not cut off. Ends with exit code 0.
    """

    def __init__(
        self,
        config: Config,
        drain_seconds: float,
        on_drain: Callable[[], None],
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._on_ready = on_ready

    async def startup(self, sockets: Any = None) -> None:
        """Say that all is loaded, then accept: what arrives in between waits in the socket's queue."""
        self._on_ready()
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Keep the default headers that draining sets."""
        return self.should_exit or await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop accepting, wait for the connections, then close what is left."""
        for server in self.servers:
            server.close()
        self._on_drain()
        self.server_state.default_headers.append((b"connection", b"close"))
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                await self._emptied()
        await super().shutdown(sockets)

    async def _emptied(self) -> None:
        while self.server_state.connections and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM without raising them again at the end."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True
