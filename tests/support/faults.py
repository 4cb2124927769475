"""A proxy in front of a real server that can be told to fail: 500s, silence, delay, lost answers."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from tests.support import web


class FaultyProxy:
    """Forwards HTTP to `upstream`; `mode` says how it misbehaves.

    Attributes:
        mode: "pass", "error" (500 to everything), "drop" (closes the connection), "slow" (waits `delay` first);
            or it forwards, and the answer is given `delay` later ("late"), never ("lost"), or is a 503 ("spoilt").
        only: the mode holds for paths that contain this text; others pass.
        times: how many more requests the mode holds for; then all pass. Without it, all.
        requests: how many requests it was sent.
        delay: seconds.
    """

    def __init__(self, upstream: str) -> None:
        self.mode = "pass"
        self.delay = 1.0
        self.requests = 0
        self.only = ""
        self.times: int | None = None
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                proxy.requests += 1
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                mode = proxy._next_mode(self.path)
                if mode == "drop":
                    self._hang_up()
                    return
                if mode == "error":
                    self._answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "told to fail"}')
                    return
                if mode == "slow":
                    time.sleep(proxy.delay)
                headers = {"content-type": self.headers.get("content-type", "application/json")}
                answer = web.request(
                    self.command, upstream + self.path, content=body, headers=headers, timeout=30
                )
                if mode == "lost":
                    self._hang_up()
                    return
                if mode == "spoilt":
                    self._answer(503, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "told to fail"}')
                    return
                if mode == "late":
                    time.sleep(proxy.delay)
                with contextlib.suppress(ConnectionError):
                    self._answer(answer.status_code, answer.content)

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.close()

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _next_mode(self, path: str) -> str:
        if self.only not in path or self.times == 0:
            return "pass"
        if self.times is not None:
            self.times -= 1
        return self.mode

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
