"""The program that brings source and site together, with real git."""

from __future__ import annotations

import base64
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.ansible.support import ANSIBLE

PROGRAM = ANSIBLE / "roles/repository/files/publish.py"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


class Site:
    """A source, a remote, a node's work tree, and the site's facts."""

    def __init__(self, root: Path) -> None:
        self.source, self.remote, self.tree, self.facts = (
            root / n for n in ("source", "remote.git", "tree", "facts")
        )
        for folder in (self.source, self.tree):
            subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.remote)], check=True)
        (self.facts / "facts").mkdir(parents=True)
        (self.facts / "facts/settings.yaml").write_text("site: true\n")
        self.commit({"k8s/site/facts/settings.yaml": "neutral\n", "code.txt": "1\n"})

    def commit(self, files: dict[str, str]) -> str:
        """A commit in the source, brought to the node's work tree."""
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.source, "add", "-A")
        git(self.source, "commit", "-qm", "work")
        git(self.tree, "fetch", "-q", str(self.source), "HEAD")
        return git(self.source, "rev-parse", "HEAD")

    def push_by_hand(self, name: str, text: str) -> None:
        """Somebody else's commit on the remote."""
        clone = self.remote.parent / f"clone-{name.replace('/', '-')}-{len(text)}"
        subprocess.run(["git", "clone", "-q", str(self.remote), str(clone)], check=True, timeout=30)
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "by hand")
        git(clone, "push", "-q", "origin", "HEAD:main")

    def publish(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        commit = git(self.source, "rev-parse", "HEAD")
        command = [
            sys.executable,
            str(PROGRAM),
            str(self.tree),
            "--source",
            commit,
            "--site",
            str(self.facts),
            *words,
        ]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, input=stdin)

    def push(self) -> subprocess.CompletedProcess[str]:
        return self.publish("--remote", str(self.remote), "--push")

    def on_remote(self, name: str) -> str:
        return git(self.remote, "show", f"main:{name}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_first_the_tree_then_the_push_then_silence(site: Site) -> None:
    prepared = site.publish()
    assert prepared.returncode == 0, prepared.stderr
    assert (site.tree / "k8s/site/facts/settings.yaml").read_text() == "site: true\n"
    pushed = site.push()
    assert "pushed" in pushed.stdout
    assert site.on_remote("k8s/site/facts/settings.yaml") == "site: true"
    assert site.on_remote("code.txt") == "1"
    again = site.push()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_new_source_joins_what_the_remote_has(site: Site) -> None:
    site.push()
    site.push_by_hand("k8s/apps/digits/staging/release/evidence.json", "{}\n")
    site.commit({"code.txt": "2\n"})
    pushed = site.push()
    assert pushed.returncode == 0, pushed.stderr
    assert site.on_remote("code.txt") == "2"
    assert site.on_remote("k8s/apps/digits/staging/release/evidence.json") == "{}"
    assert site.push().stdout == ""


def test_a_push_by_hand_alone_changes_nothing(site: Site) -> None:
    site.push()
    site.push_by_hand("other.txt", "x\n")
    assert site.push().stdout == ""


def test_the_sites_facts_win_over_the_source(site: Site) -> None:
    site.push()
    site.commit({"k8s/site/facts/settings.yaml": "neutral, in other words\n"})
    pushed = site.push()
    assert pushed.returncode == 0, pushed.stderr
    assert site.on_remote("k8s/site/facts/settings.yaml") == "site: true"


def test_changed_facts_are_one_commit(site: Site) -> None:
    site.push()
    (site.facts / "facts/settings.yaml").write_text("site: other\n")
    assert "wrote k8s/site/facts/settings.yaml" in site.push().stdout
    assert git(site.remote, "log", "-1", "--format=%s", "main") == "site: facts and images"


def test_the_same_lines_changed_twice_are_refused_by_name(site: Site) -> None:
    site.push()
    site.push_by_hand("code.txt", "by hand\n")
    before = git(site.remote, "rev-parse", "main")
    site.commit({"code.txt": "in the source\n"})
    refused = site.push()
    assert refused.returncode == 1
    assert "both changed code.txt; merge them by hand and push" in refused.stderr
    assert git(site.remote, "rev-parse", "main") == before


def test_a_fact_without_a_place_is_refused(site: Site) -> None:
    (site.facts / "elsewhere").mkdir()
    (site.facts / "elsewhere/x.yaml").write_text("")
    refused = site.push()
    assert refused.returncode == 1
    assert "has no folder k8s/site/elsewhere for the site's x.yaml" in refused.stderr


def test_a_remote_that_is_not_there_is_said(site: Site) -> None:
    refused = site.publish("--remote", str(site.remote.parent / "nowhere.git"), "--push")
    assert refused.returncode == 1
    assert "nowhere.git" in refused.stderr


def test_the_login_comes_by_standard_input(site: Site) -> None:
    asked: list[str] = []

    class Remote(http.server.BaseHTTPRequestHandler):
        """Wants a login, and lets nobody in."""

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="rookery"')
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Remote)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        remote = f"http://127.0.0.1:{server.server_address[1]}/rookery.git"
        login = json.dumps({"username": "operator", "password": "of-nobody-else"})
        refused = site.publish("--remote", remote, "--push", "--login", stdin=login)
    finally:
        server.shutdown()
        server.server_close()
    assert refused.returncode == 1
    assert f"Basic {base64.b64encode(b'operator:of-nobody-else').decode()}" in asked
    assert "of-nobody-else" not in refused.stdout + refused.stderr
