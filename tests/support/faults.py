"""A proxy in front of a real server that can be told to fail: 500s, silence, delay."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import httpx


class FaultyProxy:
    """Forwards HTTP to `upstream`; `mode` says how it misbehaves.

    Attributes:
        mode: "pass", "error" (500 to everything), "drop" (closes the connection), or "slow" (waits `delay` first).
        requests: how many requests it was sent.
        delay: seconds.
    """

    def __init__(self, upstream: str) -> None:
        self.mode = "pass"
        self.delay = 1.0
        self.requests = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                proxy.requests += 1
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if proxy.mode == "drop":
                    self.close_connection = True
                    self.connection.close()
                    return
                if proxy.mode == "error":
                    self._answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "told to fail"}')
                    return
                if proxy.mode == "slow":
                    time.sleep(proxy.delay)
                headers = {"content-type": self.headers.get("content-type", "application/json")}
                answer = httpx.request(
                    self.command, upstream + self.path, content=body, headers=headers, timeout=30
                )
                self._answer(answer.status_code, answer.content)

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
