"""What a server says of itself, or that it does not."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from services.common.errors import Unavailable
from tests.support.servers import free_port
from workflows.release.running import RunningModel, fetch_running


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_it_is_read() -> None:
    body = json.dumps(
        {"bundle_digest": "sha256:a", "image_digest": None, "model_version": "3", "more": 1}
    ).encode()
    with answering(200, body) as url:
        assert fetch_running(url) == RunningModel("sha256:a", "", "3")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (200, b"{}"), (503, b"{}"), (404, b""), (200, b"\xff\xfe")],
)
def test_anything_else_is_unavailable(status: int, body: bytes) -> None:
    with answering(status, body) as url, pytest.raises(Unavailable, match="does not say"):
        fetch_running(url)


@pytest.mark.parametrize("url", ["not a url", "http://", "file:///etc/passwd"])
def test_no_server_is_unavailable(url: str) -> None:
    with pytest.raises(Unavailable):
        fetch_running(url)
    with pytest.raises(Unavailable):
        fetch_running(f"http://127.0.0.1:{free_port()}", timeout_seconds=1)


def test_a_server_that_is_slow_for_a_moment_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    get, seconds = httpx.get, iter((0.5, 60.0))
    monkeypatch.setattr(httpx, "get", lambda url, **given: get(url, **{**given, "timeout": next(seconds)}))
    body = b'{"bundle_digest": "sha256:a"}'
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as never_answered, listener.accept()[0] as answered:
                never_answered.recv(4096)
                answered.recv(4096)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                answered.sendall(head.encode() + body)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert fetch_running(address).bundle_digest == "sha256:a"
        thread.join()
