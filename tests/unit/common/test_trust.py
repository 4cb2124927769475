from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.common.trust import authorities, trust_for
from tests.support.gitops import REPOSITORY

ASK = """
import httpx, sys
from services.common.trust import trust_for
url = sys.argv[1]
print(httpx.get(url, verify=trust_for(url), follow_redirects=True, trust_env=False, timeout=20).text)
"""


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        to = getattr(self.server, "to", "")
        self.send_response(302 if to else 200)
        self.send_header("Location", to)
        self.end_headers()
        self.wfile.write(b"" if to else b"answered")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """An https address with a certificate of its own, an http address that redirects there, and the certificate."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    secure, plain = (ThreadingHTTPServer(("127.0.0.1", 0), Answers) for _ in range(2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    https = f"https://localhost:{secure.server_port}/"
    plain.to = https  # type: ignore[attr-defined]
    for server in (secure, plain):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield https, f"http://127.0.0.1:{plain.server_port}/", certificate
    for server in (secure, plain):
        server.shutdown()
        server.server_close()


def ask(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ASK, url], cwd=REPOSITORY, env=os.environ | environment, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_certificate_is_believed_that_the_site_names_and_no_other(site: tuple[str, str, Path]) -> None:
    https, _, certificate = site
    assert ask(https, SSL_CERT_FILE=str(certificate)).stdout.strip() == "answered"
    refused = ask(https)
    assert refused.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr


def test_who_is_asked_without_tls_leads_nobody_to_a_place_that_is_believed(
    site: tuple[str, str, Path],
) -> None:
    _, plain, certificate = site
    led = ask(plain, SSL_CERT_FILE=str(certificate))
    assert led.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in led.stderr


def test_the_authorities_are_read_once_and_only_for_https() -> None:
    assert trust_for("HTTPS://registry.example/v2/") is trust_for("https://another") is authorities()
    assert trust_for("http://127.0.0.1:8000") is trust_for("httpsx://a")
    assert not trust_for("http://127.0.0.1:8000").get_ca_certs()


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for named, problem in ((tmp_path / "none.pem", "No such file"), (REPOSITORY / "README.md", "PEM")):
        told = ask("https://localhost:1/", SSL_CERT_FILE=str(named)).stderr.splitlines()[-1]
        assert "InvalidInput" in told
        assert problem in told
        assert str(named) in told


def test_whoever_asks_over_http_says_whom_it_believes() -> None:
    calls = {"get", "post", "put", "patch", "delete", "head", "request", "stream", "Client", "AsyncClient"}
    asked, silent = 0, []
    for path in [*(REPOSITORY / "services").rglob("*.py"), *(REPOSITORY / "workflows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("httpx"), attr=name)) if name in calls:
                    asked += 1
                    if "verify" not in {keyword.arg for keyword in node.keywords}:
                        silent.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}")
    assert not silent
    assert asked > 20
