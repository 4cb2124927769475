"""Uvicorn with what it lacks: a deadline for requests, a short way for small ones, a drain that fails nobody."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.common.hosts import Hosts
from services.serve.shadow import HEADER
from services.serve.small import SMALL_BYTES

_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
_LATE_BODY = b'{"error":"too-slow","message":"the request did not arrive whole in time"}'


Quick = Callable[[bytes, float, bool], "tuple[int, bytes] | None"]


def make_protocol(
    seconds: float, path: bytes, quick: Quick, hosts: Hosts | None = None
) -> type[HttpToolsProtocol]:
    """A protocol class with a deadline for requests and a short way for small bodies posted to `path`.

    A request that is not whole after `seconds` is answered 408 and closed. The clock starts with the connection
    or, on a kept one, with the request's first bytes. A request that arrives in one piece costs no timer.

    Args:
        quick: (body, time of the headers, whether it is a shadow's copy) to status and JSON; None sends the request
            the usual way to the application. It runs on the event loop.
        hosts: who asks for another one is answered by the application; None: any may be asked for.
    """
    asked = hosts or Hosts(None)

    class Protocol(_Deadline):
        deadline = seconds
        quick_path = path
        answer_quickly = staticmethod(quick)
        knows_host = staticmethod(asked.knows)

    return Protocol


class _Deadline(HttpToolsProtocol):
    deadline: float
    quick_path: bytes
    answer_quickly: Quick
    knows_host: Callable[[bytes], bool]
    _receiving = False
    _clock: asyncio.TimerHandle | None = None
    _body: bytearray | None = None
    _began = 0.0
    _copied = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._clock = self.loop.call_later(self.deadline, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._receiving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.url == self.quick_path and self._is_quick():
            self._body = bytearray()
            self._began = time.perf_counter()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._body is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        self._receiving = False
        if self._clock is not None:
            self._stop_clock()
        if self._body is not None:
            body, self._body = bytes(self._body), None
            answer = self.answer_quickly(body, self._began, self._copied)
            if answer is not None:
                self._write(*answer)
                return
            super().on_headers_complete()
            super().on_body(body)
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._clock is None and (self._receiving or self._unwatched()):
            self._clock = self.loop.call_later(self.deadline, self._late)

    def _is_quick(self) -> bool:
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self.parser.should_upgrade():
            return False
        if not self._idle() or self.pipeline or self.flow.write_paused:
            return False
        length = -1
        named = False
        self._copied = False
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() else -1
            elif name == b"host":
                if not self.knows_host(value):
                    return False
                named = True
            elif name == HEADER:
                self._copied = True
            elif name == b"transfer-encoding" or (
                name == b"content-type" and value[:10].lower() == b"multipart/"
            ):
                return False
        return named and 0 < length <= SMALL_BYTES

    def _write(self, status: int, body: bytes) -> None:
        keep = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        head = STATUS_LINE[status] + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
        for name, value in self.server_state.default_headers:
            keep = keep and name != b"connection"
            head += b"" if name == b"connection" else name + b": " + value + b"\r\n"
        self.transport.write(head + (b"\r\n" if keep else b"connection: close\r\n\r\n") + body)
        if not keep:
            self.transport.close()
        self.on_response_complete()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _unwatched(self) -> bool:
        return self._idle() and self.timeout_keep_alive_task is None

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        if self._receiving and (self._idle() or not self.cycle.response_started):
            self.transport.write(_LATE % len(_LATE_BODY) + _LATE_BODY)
        if not self._idle():
            scope: dict[str, Any] = self.cycle.scope  # type: ignore[assignment]
            scope["rookery.late"] = True
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


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
