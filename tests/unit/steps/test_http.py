"""What a call to a service outlives, and what it takes for an answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from services.common.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError, Unavailable
from tests.support.servers import free_port
from workflows.steps import http
from workflows.steps.http import call, message_of

Answer = tuple[int, str, dict[str, str]]


class Service:
    """Gives the answers of a list one after another, the last one for ever."""

    def __init__(self, port: int = 0) -> None:
        self.answers: list[Answer] = [(200, "{}", {})]
        self.asked: list[tuple[str, str, float]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                service.asked.append((self.command, self.path, time.monotonic()))
                status, body, headers = service.answers[0]
                if len(service.answers) > 1:
                    service.answers.pop(0)
                if not status:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The caller's clock, which goes on only while it pauses."""
    at = [0.0]

    def sleep(seconds: float) -> None:
        at[0] += seconds

    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: at[0], sleep=sleep))
    return at


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(service: Service, status: int) -> None:
    service.answers = [(status, "later", {}), (status, "later", {}), (202, '{"a": 1}', {})]
    answer = call("POST", f"{service.url}/x", patience_seconds=30, params={"run_id": "7"})
    assert (answer.status_code, answer.json()) == (202, {"a": 1})
    assert [request[:2] for request in service.asked] == [("POST", "/x?run_id=7")] * 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (422, InvalidInput),
        (404, NotFound),
        (409, Conflict),
        (403, Refused),
        (418, Refused),
    ],
)
def test_a_refusal_is_not_asked_again_and_keeps_its_sentence(
    service: Service, status: int, kind: type[RookeryError]
) -> None:
    body = {"error": "x", "message": "no such run", "value": "'7'", "allowed": "8"}
    service.answers = [(status, json.dumps(body), {})]
    with pytest.raises(kind, match=r"no such run \(got '7'\); allowed: 8"):
        call("GET", service.url, patience_seconds=30)
    assert len(service.asked) == 1


def test_patience_is_bounded_and_the_last_answer_is_told(service: Service, now: list[float]) -> None:
    service.answers = [(503, '{"message": "the queue is full"}', {})]
    with pytest.raises(Unavailable, match="had no answer for 1 s: 503: the queue is full"):
        call("GET", service.url, patience_seconds=1)
    assert now[0] <= 1
    assert len(service.asked) > 1


def test_it_waits_as_long_as_it_is_asked_to(service: Service) -> None:
    service.answers = [(503, "", {"retry-after": "1"}), (200, "{}", {})]
    call("GET", service.url, patience_seconds=30)
    assert service.asked[1][2] - service.asked[0][2] >= 1


@pytest.mark.parametrize("text", ["-5", "soon", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_a_wait_that_makes_no_sense_is_not_waited(service: Service, now: list[float], text: str) -> None:
    service.answers = [(503, "", {"retry-after": text}), (200, "{}", {})]
    call("GET", service.url, patience_seconds=5)
    assert len(service.asked) == 2 and now[0] < 2


def test_a_wait_beyond_the_patience_is_an_end_at_once(service: Service, now: list[float]) -> None:
    service.answers = [(503, "", {"retry-after": "9999"})]
    with pytest.raises(Unavailable):
        call("GET", service.url, patience_seconds=5)
    assert now[0] < 3


def test_a_service_that_starts_meanwhile_is_found() -> None:
    port = free_port()
    started: list[Service] = []
    timer = threading.Timer(0.5, lambda: started.append(Service(port)))
    timer.start()
    try:
        assert call("GET", f"http://127.0.0.1:{port}", patience_seconds=30).status_code == 200
    finally:
        timer.join()
        started[0].close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"message": "m"}', "m"),
        ('{"detail": "Not Found"}', "Not Found"),
        ("[1, 2]", "[1, 2]"),
        ("<html>gateway</html>", "<html>gateway</html>"),
        ('{"other": 1}', "{'other': 1}"),
        ("x" * 9000, "x" * 500),
        (json.dumps({"message": "y" * 9000}), "y" * 1000),
    ],
)
def test_whatever_is_answered_is_a_bounded_line(body: str, said: str) -> None:
    assert message_of(httpx.Response(500, text=body)) == said


def test_each_trouble_is_told(service: Service) -> None:
    service.answers = [(503, '{"message": "full"}', {}), (500, "oh", {}), (200, "{}", {})]
    told: list[str] = []
    call("GET", service.url, patience_seconds=30, told=told.append)
    assert told == ["503: full", "500: oh"]
