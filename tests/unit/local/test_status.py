"""What `status` tells of an environment whose files are broken, quarantined or fine, with a server that answers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gitops import Remote, git
from workflows.local.settings import PlatformSettings
from workflows.local.status import EnvironmentStatus, environment_statuses
from workflows.release.component import component_path
from workflows.release.quarantine import Entry, Quarantine, quarantine_path

IMAGE, BUNDLE = f"sha256:{1:064x}", f"sha256:{2:064x}"


@contextmanager
def serving(port: int, application: str = "digits") -> Iterator[None]:
    says = {
        **{"application": application, "environment": "staging", "model_version": "1"},
        **{"image_digest": IMAGE, "bundle_digest": BUNDLE},
    }
    body = json.dumps(says).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _servers_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.local.status._ASK_SECONDS", 30.0)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote(tmp_path / "home")
    made.release(1, IMAGE, BUNDLE)
    return made


def _commit(remote: Remote, path: str, text: str) -> None:
    work = remote.home / "work"
    git(work, "pull", "-q", str(remote.path), "main")
    (work / path).write_text(text)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "By hand")
    git(work, "push", "-q", str(remote.path), "main")


def _staging(remote: Remote) -> EnvironmentStatus:
    return environment_statuses(PlatformSettings(home=remote.home))[0]


def test_one_that_serves_what_git_says_is_good(remote: Remote) -> None:
    with serving(remote.ports["staging"]):
        found = _staging(remote)
    assert (found.version, found.digest, found.memory, found.health) == ("1", IMAGE, IMAGE, "ok")
    assert found.good
    assert found.quarantined == ""
    assert not _staging(remote).good


def test_a_broken_one_shows_what_still_serves(remote: Remote) -> None:
    _commit(remote, component_path("digits", "staging"), "images: [")
    with serving(remote.ports["staging"]):
        found = _staging(remote)
    assert (found.version, found.digest, found.memory, found.health) == ("1", "", IMAGE, "ok")
    assert found.url == remote.url()
    assert found.reason
    assert not found.good


def test_a_stranger_on_the_port_of_a_broken_one_is_not_taken_for_it(remote: Remote) -> None:
    _commit(remote, component_path("digits", "staging"), "images: [")
    with serving(remote.ports["staging"], "birds"):
        found = _staging(remote)
    assert (found.version, found.memory, found.health, found.url) == ("", "", "", "")
    assert not found.good


def test_a_quarantined_digest_is_told_with_its_reason(remote: Remote) -> None:
    entry = Entry(
        **{"image_digest": IMAGE, "bundle_digest": BUNDLE, "model_version": "1", "environment": "canary"},
        **{"reason": "confuses 3 and 8", "requested_by": "x", "workflow": "y", "at": "2026-01-01T00:00:00Z"},
    )
    _commit(remote, quarantine_path("digits", "canary"), Quarantine(entries=[entry]).to_bytes().decode())
    assert _staging(remote).quarantined == "confuses 3 and 8"
