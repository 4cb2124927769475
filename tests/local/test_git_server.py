"""The git server of the cluster: who may push what, and that Argo CD is told, with real lighttpd and git."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from tests.support import web
from tests.support.git_server import USERS, GitServer
from tests.support.release import evidence, git, make_remote, runs
from workflows.release.component import EMPTY, render_component
from workflows.release.gitops import GitOps
from workflows.release.release import promote, release
from workflows.release.rollback import rollback
from workflows.release.settings import GitSettings
from workflows.release.share import GATEWAY_FACT, with_share
from workflows.release.sharing import read_sharing, set_share

STAGING = "k8s/apps/digits/staging/release"
COMPONENT = f"{STAGING}/kustomization.yaml"
GOOD = render_component("registry.rookery.svc:5000/rookery/digits", "sha256:" + "a" * 64, "1").decode()


class Listener:
    """Where notices of a push arrive; it can be slow or refuse them."""

    def __init__(self) -> None:
        self.got: list[tuple[Message, bytes]] = []
        self.status, self.pause = 200, 0.0
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append((self.headers, body))
                time.sleep(listener.pause)
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/webhook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


@pytest.fixture(scope="module")
def server(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    folder = tmp_path_factory.mktemp("git")
    secret = folder / "secret"
    secret.write_text("between us\n")
    made = GitServer(
        folder / "server",
        webhook_url=listener.url,
        webhook_secret_file=secret,
        webhook_seconds=8,
        public_url="http://git.rookery.svc/rookery.git",
    )
    made.server.start()
    make_remote(folder / "start")
    done = made.push(folder / "start" / "work", "operator")
    assert done.returncode == 0, done.stderr
    yield made
    made.server.stop()


@pytest.fixture
def work(server: GitServer, listener: Listener, tmp_path: Path) -> Path:
    listener.got.clear()
    listener.status, listener.pause = 200, 0.0
    git("clone", "-q", server.url("argocd"), "work", cwd=tmp_path)
    return tmp_path / "work"


def write(work: Path, path: str, text: str) -> None:
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).write_text(text)


def commit(work: Path, message: str = "a change") -> None:
    git("add", "--all", ".", cwd=work)
    git("commit", "-q", "-m", message, cwd=work)


def test_a_health_page_and_nothing_else_is_shown_without_login(server: GitServer) -> None:
    assert web.get(f"{server.server.url}/healthz").text == "ok\n"
    for path in ("rookery.git/info/refs?service=git-upload-pack", "rookery.git/HEAD", "rookery.git/config"):
        assert web.get(f"{server.server.url}/{path}").status_code == 401
    for path in (
        "",
        "lighttpd.conf",
        "other.git/info/refs",
        "../htpasswd",
        "rookery.git%2f..%2f..%2fhtpasswd",
    ):
        assert web.get(f"{server.server.url}/{path}").status_code in (400, 403, 404)


def test_files_of_the_repository_are_not_given_out(server: GitServer) -> None:
    login = base64.b64encode(b"argocd:argocd-word").decode()
    for path in ("config", "HEAD", "objects/info/packs", "..%2f..%2fhtpasswd", "../../htpasswd"):
        answer = web.get(f"{server.url()}/{path}", headers={"Authorization": f"Basic {login}"})
        assert answer.status_code in (400, 403, 404), path


def test_a_wrong_word_is_no_login(server: GitServer, work: Path) -> None:
    write(work, "README.md", "x")
    commit(work)
    for user, word in (("operator", "wrong"), ("nobody", "operator-word"), ("release", "operator-word")):
        done = server.push(work, user, word=word)
        assert done.returncode != 0 and "Authentication failed" in done.stderr


def test_the_operator_writes_everything_and_a_reader_nothing(server: GitServer, work: Path) -> None:
    write(work, "k8s/site/facts.yaml", "a: 1\n")
    commit(work)
    refused = server.push(work, "argocd")
    assert refused.returncode != 0 and "argocd may only read" in refused.stderr
    assert server.push(work, "operator").returncode == 0
    assert server.push(work, "operator", "HEAD:refs/heads/idea", "HEAD:refs/tags/v1").returncode == 0


def test_releases_promotions_and_rollbacks_are_let_in(server: GitServer, tmp_path: Path) -> None:
    login = GitSettings(username="release", password=SecretStr("release-word"))
    gitops = GitOps(server.url(), tmp_path / "cache", login)
    release(gitops, evidence(1))
    release(gitops, evidence(2))
    promote(gitops, "digits", "staging", "canary", "2", running=runs(2), requested_by="t", workflow="p1")
    done = rollback(gitops, "digits", "staging", reason="bad", requested_by="t", workflow="r1", shut_out=True)
    assert done.model_version == "1"
    release(gitops, evidence(3))


def test_a_share_of_live_traffic_is_let_in(server: GitServer, work: Path, tmp_path: Path) -> None:
    write(work, GATEWAY_FACT, "- op: test\n")
    commit(work)
    assert server.push(work, "operator").returncode == 0
    login = GitSettings(username="release", password=SecretStr("release-word"))
    gitops = GitOps(server.url(), tmp_path / "cache", login)
    for version, last in (("21", 2), ("22", 1)):
        release(gitops, evidence(version))
        for source, target in (("staging", "canary"), ("canary", "production"))[:last]:
            promote(gitops, "digits", source, target, version, running=runs(version), requested_by="t",
                    workflow=f"p{version}")  # fmt: skip
    done, _ = set_share(gitops, "digits", 10, verified=lambda _: None, requested_by="t", workflow="share")
    assert done.share == 10
    release(gitops, evidence(23))
    promote(gitops, "digits", "staging", "canary", "23", running=runs(23), requested_by="t", workflow="p23")
    assert read_sharing(gitops.tree(), "digits").share == 0


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a manifest": (
        lambda w: write(w, "k8s/apps/digits/staging/kustomization.yaml", "x"),
        "may write k8s/apps",
    ),
    "a policy": (lambda w: write(w, "k8s/apps/digits/policy.yaml", "x"), "may write k8s/apps"),
    "another file beside": (lambda w: write(w, f"{STAGING}/deployment.yaml", "x"), "may write k8s/apps"),
    "a file below": (lambda w: write(w, f"{STAGING}/more/evidence.json", "x"), "may write k8s/apps"),
    "an unknown environment": (
        lambda w: write(w, "k8s/apps/digits/secret/release/kustomization.yaml", GOOD),
        "no such environment",
    ),
    "an image by tag": (
        lambda w: write(w, COMPONENT, GOOD.replace("digest: sha256:" + "a" * 64, "newTag: latest")),
        "one image by digest",
    ),
    "another resource": (
        lambda w: write(w, COMPONENT, GOOD + "resources:\n- x.yaml\n"),
        "one image by digest",
    ),
    "a patch": (
        lambda w: write(w, COMPONENT, GOOD + "patches:\n- patch: '[]'\n  target: {kind: Deployment}\n"),
        "one image by digest",
    ),
    "weights that do not make 100": (
        lambda w: write(w, COMPONENT, with_share(GOOD.encode(), 10).decode().replace("90", "80")),
        "make 100 together",
    ),
    "another setting": (
        lambda w: write(w, COMPONENT, GOOD.replace("ROOKERY_SERVE_MODEL_VERSION", "LD_PRELOAD")),
        "one image by digest",
    ),
    "another image": (
        lambda w: write(w, COMPONENT, GOOD.replace("name: rookery/model", "name: postgres")),
        "one image by digest",
    ),
    "a link": (
        lambda w: ((w / COMPONENT).unlink(), (w / COMPONENT).symlink_to("/etc/passwd")),
        "not a plain file",
    ),
    "a program": (
        lambda w: (write(w, COMPONENT, GOOD), (w / COMPONENT).chmod(0o755)),
        "not a plain file",
    ),
    "a large file": (lambda w: write(w, f"{STAGING}/evidence.json", "x" * (5 << 20)), "allowed: 4194304"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_release_user_writes_nothing_but_releases(server: GitServer, work: Path, name: str) -> None:
    make, said = CHANGES[name]
    make(work)
    commit(work)
    done = server.push(work, "release")
    assert done.returncode != 0 and said in done.stderr, done.stderr
    assert git("rev-parse", "origin/main", cwd=work) == git("rev-parse", "main", cwd=server.repository)


def test_what_a_later_commit_takes_back_is_refused_as_well(server: GitServer, work: Path) -> None:
    write(work, "README.md", "something bad")
    commit(work)
    git("revert", "--no-edit", "HEAD", cwd=work)
    write(work, COMPONENT, GOOD)
    commit(work)
    done = server.push(work, "release")
    assert done.returncode != 0 and "README.md" in done.stderr


def test_the_release_user_makes_no_branch_tag_or_merge(server: GitServer, work: Path) -> None:
    write(work, COMPONENT, GOOD.replace("VERSION=1", "VERSION=7"))
    commit(work)
    for what in ("HEAD:refs/heads/other", "HEAD:refs/tags/v9", ":refs/heads/idea"):
        done = server.push(work, "release", what)
        assert done.returncode != 0 and "the branch main only" in done.stderr
    git("checkout", "-q", "-b", "side", "HEAD~1", cwd=work)
    write(work, COMPONENT, EMPTY.decode())
    commit(work)
    git("merge", "-q", "-s", "ours", "-m", "both", "main", cwd=work)
    done = server.push(work, "release")
    assert done.returncode != 0 and "is a merge" in done.stderr


@pytest.mark.parametrize("user", ["operator", "release"])
def test_the_branch_is_neither_deleted_nor_rewritten(server: GitServer, work: Path, user: str) -> None:
    done = server.push(work, user, ":main")
    assert done.returncode != 0 and "never deleted" in done.stderr
    git("checkout", "-q", "--orphan", "new", cwd=work)
    commit(work)
    done = server.push(work, user, "+HEAD:main")
    assert done.returncode != 0 and "never rewritten" in done.stderr


def test_of_two_pushes_on_one_tip_the_second_is_told_to_fetch(server: GitServer, work: Path) -> None:
    write(work, COMPONENT, GOOD.replace("VERSION=1", "VERSION=11"))
    commit(work)
    first = git("rev-parse", "HEAD", cwd=work)
    git("reset", "-q", "--hard", "origin/main", cwd=work)
    write(work, COMPONENT, GOOD.replace("VERSION=1", "VERSION=12"))
    commit(work)
    assert server.push(work, "release", f"{first}:main").returncode == 0
    done = server.push(work, "release")
    assert done.returncode != 0 and "non-fast-forward" in done.stderr


def test_argo_cd_is_told_in_the_words_of_github(server: GitServer, listener: Listener, work: Path) -> None:
    before = git("rev-parse", "HEAD", cwd=work)
    write(work, COMPONENT, GOOD.replace("VERSION=1", "VERSION=21"))
    commit(work)
    done = server.push(work, "release")
    assert done.returncode == 0 and "was told" in done.stderr
    (headers, body), content = listener.got[0], json.loads(listener.got[0][1])
    assert headers["X-GitHub-Event"] == "push"
    for name, kind in (("X-Hub-Signature", hashlib.sha1), ("X-Hub-Signature-256", hashlib.sha256)):
        assert headers[name].partition("=")[2] == hmac.new(b"between us", body, kind).hexdigest()
    assert (content["ref"], content["before"]) == ("refs/heads/main", before)
    assert content["after"] == git("rev-parse", "HEAD", cwd=work)
    assert content["repository"]["html_url"] == "http://git.rookery.svc/rookery.git"
    assert content["repository"]["default_branch"] == "main"
    assert content["commits"][0]["modified"] == [COMPONENT]


@pytest.mark.parametrize(
    ("status", "pause", "said"), [(500, 0.0, "refused the notice"), (200, 90.0, "within 8 s")]
)
def test_a_push_stands_whatever_becomes_of_the_notice(
    server: GitServer, listener: Listener, work: Path, status: int, pause: float, said: str
) -> None:
    listener.status, listener.pause = status, pause
    write(work, "README.md", f"{status} {pause}")
    commit(work)
    begun = time.monotonic()
    done = server.push(work, "operator")
    assert done.returncode == 0 and said in done.stderr
    assert time.monotonic() - begun < 60
    assert git("rev-parse", "HEAD", cwd=work) == git("rev-parse", "main", cwd=server.repository)


def test_users_change_and_the_repository_outlasts_a_restart(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "server", max_megabytes=1)
    server.server.start()
    try:
        make_remote(tmp_path / "start")
        work = tmp_path / "start" / "work"
        created = server.push(work, "release")
        assert created.returncode != 0 and "may not create" in created.stderr
        assert server.push(work, "operator").returncode == 0
        server.server.stop()
        server.server.start()
        server.write_users({"operator": USERS["argocd"]})
        write(work, "README.md", "x")
        commit(work)
        assert server.push(work, "operator").returncode != 0
        assert server.push(work, "operator", word="argocd-word").returncode == 0
        (work / "large").write_bytes(Random(1).randbytes(3 << 20))
        commit(work)
        assert server.push(work, "operator", word="argocd-word").returncode != 0
        assert git("rev-parse", "HEAD~1", cwd=work) == git("rev-parse", "main", cwd=server.repository)
    finally:
        server.server.stop()
