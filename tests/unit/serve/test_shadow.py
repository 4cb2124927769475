from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.common.errors import InvalidInput
from services.serve import shadow as module
from services.serve.settings import ServeSettings
from services.serve.shadow import HEADER, Shadow


class Other(ThreadingHTTPServer):
    """A server that remembers what it was sent, and answers while `open` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, str | None, bytes]] = []
        self.open = threading.Event()
        self.open.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Other)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.open.wait(120)
        self.server.taken.append((self.path, self.headers.get(HEADER.decode()), body))
        with suppress(OSError):
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def other() -> Iterator[Other]:
    server = Other()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.open.set()
    server.shutdown()
    server.server_close()
    thread.join()


def shadow(url: str, **changes: object) -> Shadow:
    return Shadow(ServeSettings(bundle=Path("/bundle"), shadow_url=url, **changes))  # type: ignore[arg-type]


def address(server: Other) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def settled(copies: Shadow, count: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while copies.sent + copies.lost < count:
        assert time.monotonic() < end, (copies.sent, copies.lost)
        time.sleep(0.01)


def test_copies_arrive_marked_with_their_source(other: Other) -> None:
    copies = shadow(address(other))
    for number in range(5):
        copies.copy(b"input %d" % number, "marsh" if number else "")
    settled(copies, 5)
    copies.close()
    assert other.taken[0] == ("/predict", "1", b"input 0")
    assert other.taken[4] == ("/predict?source=marsh", "1", b"input 4")
    assert (copies.sent, copies.dropped, copies.lost) == (5, 0, 0)


def test_no_more_than_the_rate_are_copied(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    copies = shadow(address(other), shadow_rate=10)
    for _ in range(25):
        copies.copy(b"input", "")
    settled(copies, 10)
    copies.close()
    assert (copies.sent, copies.dropped) == (10, 15)


def test_a_slow_server_costs_copies_and_never_the_caller(other: Other) -> None:
    other.open.clear()
    copies = shadow(address(other), shadow_rate=10_000, shadow_waiting=8, shadow_seconds=60)
    began = time.monotonic()
    for _ in range(1000):
        copies.copy(b"x" * 1000, "")
    assert time.monotonic() - began < 20
    assert copies.dropped >= 990
    other.open.set()
    copies.close()


def test_the_bytes_that_wait_are_bounded(other: Other) -> None:
    other.open.clear()
    copies = shadow(address(other), shadow_rate=10_000, shadow_bytes=10_000, shadow_seconds=60)
    for _ in range(20):
        copies.copy(b"x" * 4000, "")
    assert copies.dropped >= 17
    other.open.set()
    copies.close()


def test_a_server_that_is_not_there_is_given_up_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    copies = shadow(f"http://127.0.0.1:{port}")
    for _ in range(10):
        copies.copy(b"input", "")
    settled(copies, 10)
    copies.close()
    assert (copies.sent, copies.lost) == (0, 10)


def test_a_server_that_hangs_is_given_up(other: Other) -> None:
    other.open.clear()
    copies = shadow(address(other), shadow_seconds=0.2)
    copies.copy(b"input", "")
    settled(copies, 1)
    copies.close()
    assert copies.lost == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_again(other: Other) -> None:
    copies = shadow(address(other))
    copies.copy(b"one", "")
    settled(copies, 1)
    assert copies._connection is not None
    copies._connection.sock.shutdown(socket.SHUT_RDWR)
    copies.copy(b"two", "")
    settled(copies, 2)
    copies.close()
    assert [body for _, _, body in other.taken] == [b"one", b"two"]


@pytest.mark.parametrize("url", ["canary:8080", "ftp://canary", "http://canary/a b", "http://user:pass@host"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="shadow_url"):
        ServeSettings.read(bundle=Path("/bundle"), shadow_url=url)


def test_bytes_that_leave_while_others_come_are_counted(other: Other) -> None:
    class Slow(bytes):
        """An input whose length is asked for while the thread takes the one before away."""

        def __len__(self) -> int:
            deadline = time.monotonic() + 60
            while threading.current_thread() is threading.main_thread() and copies.waiting():
                assert time.monotonic() < deadline
                time.sleep(0.001)
            return super().__len__()

    copies = shadow(address(other))
    try:
        copies.copy(b"a" * 1000, "")
        copies.copy(Slow(b"b" * 10), "")
        deadline = time.monotonic() + 60
        while len(other.taken) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert copies._taken == copies._gone == 1010
    finally:
        copies.close()
