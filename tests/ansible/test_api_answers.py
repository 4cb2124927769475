"""The program that decides which control plane has the shared address, against real TLS servers."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ansible.support import program

api = program("api_address", "api_answers.py")


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that is its own authority, and its key."""
    own, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "1", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", own, "-keyout", key], check=True, capture_output=True, timeout=60)
    return own, key


@contextmanager
def serving(own: Path, key: Path, status: int) -> Iterator[str]:
    """A server that answers everything with one status."""

    class Server(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}/livez"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "lives"), [(200, True), (500, False)])
def test_a_server_lives_that_says_so(status: int, lives: bool, tmp_path: Path) -> None:
    own, key = certificate(tmp_path, "own")
    with serving(own, key, status) as url:
        assert api.answers(url, str(own)) is lives


def test_another_server_at_the_address_does_not_count(tmp_path: Path) -> None:
    own, _ = certificate(tmp_path, "own")
    with serving(*certificate(tmp_path, "other"), 200) as url:
        assert api.answers(url, str(own)) is False


def test_before_there_is_a_cluster_nobody_answers(tmp_path: Path) -> None:
    assert api.answers("https://127.0.0.1:1/livez", str(tmp_path / "missing.crt")) is False
