"""A forwarded port, with a server that speaks the kubelet's WebSocket protocol and passes on to a real HTTP server."""

from __future__ import annotations

import base64
import gc
import hashlib
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from websockets.sync.server import Server, ServerConnection, serve

from services.common.errors import NotFound, Unavailable
from workflows.cluster.api import Kubernetes
from workflows.cluster.forward import Forward
from workflows.cluster.kubeconfig import Access

BODY = bytes(range(256)) * 4096


class Web:
    """Answers GET with a large body, POST with what it was sent."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer(BODY)

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers["content-length"])))

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_port


class Objects:
    """Stands in for the API's reads; `connect` goes to a real WebSocket server."""

    def __init__(self, port: int) -> None:
        self.access = Access("lab", f"http://127.0.0.1:{port}", None, {"Authorization": "Bearer t"})
        self.ready = True

    def get(self, path: str, **_: str) -> dict[str, Any]:
        if path.endswith("/services/web"):
            return {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}}
        if path.endswith("/pods"):
            ports = [{"name": "http", "containerPort": 8080}]
            status = {"conditions": [{"type": "Ready", "status": str(self.ready)}]}
            return {
                "items": [
                    {
                        "metadata": {"name": "web-1"},
                        "spec": {"containers": [{"ports": ports}]},
                        "status": status,
                    }
                ]
            }
        raise NotFound("no")


@pytest.fixture
def kubelet() -> Iterator[tuple[Server, list[str]]]:
    """Passes port 8080 of pod web-1 on to a web server."""
    web = Web()
    asked: list[str] = []

    def carry(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        assert connection.request.headers["Authorization"] == "Bearer t"
        assert connection.subprotocol == "v4.channel.k8s.io"
        for channel in (0, 1):
            connection.send(bytes([channel]) + (8080).to_bytes(2, "little"))
        with socket.create_connection(("127.0.0.1", web.port)) as target:

            def back() -> None:
                with suppress(OSError):
                    while data := target.recv(9000):
                        connection.send(b"\0" + data)
                connection.close()

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            for message in connection:
                assert isinstance(message, bytes)
                target.sendall(message[1:])
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
            thread.join(2)

    with serve(carry, "127.0.0.1", 0, subprotocols=["v4.channel.k8s.io"], compression=None) as server:  # type: ignore[list-item]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, asked
    web.server.shutdown()
    web.server.server_close()


def test_requests_go_through_large_and_many_at_once(kubelet: tuple[Server, list[str]]) -> None:
    server, asked = kubelet
    forward = Forward(Objects(server.socket.getsockname()[1]), "rookery", "web", 80)  # type: ignore[arg-type]
    with httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(forward.url).content == BODY
        assert client.post(forward.url, content=BODY).content == BODY
    answers: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(httpx.get(forward.url, trust_env=False, timeout=60).content == BODY)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
    assert asked[0] == "/api/v1/namespaces/rookery/pods/web-1/portforward?ports=8080"
    forward.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(forward.url, trust_env=False)


def test_connections_that_are_open_end_with_it_and_nothing_is_complained_of(
    kubelet: tuple[Server, list[str]], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.cluster.forward._CLOSE_SECONDS", 60.0)
    forward = Forward(Objects(kubelet[0].socket.getsockname()[1]), "rookery", "web", 80)  # type: ignore[arg-type]
    with httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(forward.url).content == BODY
        began = time.monotonic()
        forward.close()
        forward.close()
        assert time.monotonic() - began < 40
        with pytest.raises(httpx.HTTPError):
            client.get(forward.url)
    assert [one for one in caplog.records if one.name == "asyncio"] == []


def test_a_node_that_does_not_begin_is_asked_anew(
    kubelet: tuple[Server, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection finds a listener that never answers the handshake."""
    monkeypatch.setattr("workflows.cluster.forward._OPEN_SECONDS", (0.3, 60.0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        objects = Objects(silent.getsockname()[1])
        healthy = objects.get
        asked: list[str] = []

        def get(path: str, **params: str) -> dict[str, Any]:
            asked.append(path)
            if asked.count(path) == 2:
                objects.access = Objects(kubelet[0].socket.getsockname()[1]).access
            return healthy(path, **params)

        monkeypatch.setattr(objects, "get", get)
        forward = Forward(objects, "rookery", "web", 80)  # type: ignore[arg-type]
        assert httpx.get(forward.url, trust_env=False, timeout=60).content == BODY
        forward.close()


def test_what_cannot_be_reached_is_said_at_once(kubelet: tuple[Server, list[str]]) -> None:
    objects = Objects(kubelet[0].socket.getsockname()[1])
    with pytest.raises(NotFound, match="has no such port"):
        Forward(objects, "rookery", "web", 81)  # type: ignore[arg-type]
    objects.ready = False
    with pytest.raises(NotFound, match="no pod behind the Service rookery/web is ready"):
        Forward(objects, "rookery", "web", 80)  # type: ignore[arg-type]
    objects.ready = True
    objects.access = Access("lab", "http://127.0.0.1:9", None)
    with pytest.raises(Unavailable, match="cannot be forwarded"):
        Forward(objects, "rookery", "web", 80)  # type: ignore[arg-type]


def test_an_api_that_is_away_is_unavailable() -> None:
    kube = Kubernetes(Access("lab", "http://127.0.0.1:9", None), patience_seconds=0.1)
    with pytest.raises(Unavailable, match=r"of context lab at .* does not answer"):
        kube.get("/version")
    kube.close()


def _never_ends(listener: socket.socket, asked: threading.Event, ended: threading.Event) -> None:
    """A node that answers one request, and from then on neither reads nor closes."""
    connection, _ = listener.accept()
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    key = request.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
    key = request[request.lower().index(key) :][: len(key)]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    for channel in (b"\0", b"\1"):
        connection.sendall(b"\x82\x03" + channel + (8080).to_bytes(2, "little"))
    connection.recv(4096)
    asked.set()
    ended.wait(60)
    connection.close()


def test_nothing_is_left_open_when_it_ends_while_a_connection_says_goodbye(
    kubelet: tuple[Server, list[str]],
) -> None:
    objects = Objects(kubelet[0].socket.getsockname()[1])
    forward = Forward(objects, "rookery", "web", 80)  # type: ignore[arg-type]
    asked, ended = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        node = threading.Thread(target=_never_ends, args=(listener, asked, ended), daemon=True)
        node.start()
        objects.access = Objects(listener.getsockname()[1]).access
        with socket.create_connection(("127.0.0.1", forward.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert asked.wait(20)
        time.sleep(0.3)
        forward.close()
        ended.set()
        node.join(20)
        del forward
        gc.collect()
    assert [str(one.message) for one in found if one.category is ResourceWarning] == []
