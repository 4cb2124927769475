"""What the programs on a node decide, from what the real tools print."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.support import ANSIBLE, program

routes = program("pod_network", "pod_routes.py")
firewall = program("firewall", "open_between_nodes.py")
images = program("site_facts", "resolve_images.py")
waiting = program("deployments", "wait_for_applications.py")

PODS = "10.244.0.0/16"


def test_routes_are_added_changed_and_removed() -> None:
    present = [
        {"dst": "10.244.1.0/24", "gateway": "192.168.1.12"},
        {"dst": "10.244.2.0/24", "gateway": "192.168.1.99"},
        {"dst": "10.244.9.0/24", "gateway": "192.168.1.19"},
    ]
    wanted = {"10.244.1.0/24": "192.168.1.12", "10.244.2.0/24": "192.168.1.13"}
    assert [c[:5] for c in routes.wanted_routes(PODS, wanted, present)] == [
        ["ip", "route", "replace", "10.244.2.0/24", "via"],
        ["ip", "route", "delete", "10.244.9.0/24", "proto"],
    ]
    kept = [{"dst": d, "gateway": g} for d, g in wanted.items()]
    assert routes.wanted_routes(PODS, wanted, kept) == []


def ruleset(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"nftables": [{"metainfo": {"json_schema_version": 1}}, *entries]}


def chain(policy: str, hook: str = "input", name: str = "input") -> dict[str, Any]:
    return {
        "chain": {
            "family": "inet",
            "table": "filter",
            "name": name,
            "type": "filter",
            "hook": hook,
            "policy": policy,
        }
    }


def rule(*expr: dict[str, Any], comment: str = "") -> dict[str, Any]:
    found = {"family": "inet", "table": "filter", "chain": "input", "expr": list(expr)}
    return {"rule": found | ({"comment": comment} if comment else {})}


def source(address: Any) -> dict[str, Any]:
    return {
        "match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": address}
    }


def test_an_open_firewall_stays_as_it_is() -> None:
    assert firewall.commands(ruleset(), ["192.168.1.12"]) == []
    assert firewall.commands(ruleset(chain("accept")), ["192.168.1.12"]) == []
    assert firewall.commands(ruleset(chain("drop", hook="output")), ["192.168.1.12"]) == []


@pytest.mark.parametrize(
    "shut",
    [
        ruleset(chain("drop")),
        ruleset(chain("accept"), rule({"reject": None})),
        ruleset(chain("accept"), rule({"drop": None})),
    ],
    ids=["policy", "reject", "drop"],
)
def test_a_shut_firewall_lets_the_nodes_in(shut: dict[str, Any]) -> None:
    (command,) = firewall.commands(shut, ["192.168.1.12"])
    assert command[:9] == ["nft", "insert", "rule", "inet", "filter", "input", "ip", "saddr", "192.168.1.12"]


def test_what_is_open_already_is_not_opened_twice() -> None:
    have = ruleset(
        chain("drop"),
        rule(source("192.168.1.12"), {"accept": None}, comment=firewall.MARK),
        rule(source({"prefix": {"addr": "10.244.0.0", "len": 16}}), {"accept": None}, comment=firewall.MARK),
    )
    assert firewall.commands(have, ["192.168.1.12", PODS]) == []


DIGEST = "sha256:" + "a" * 64


class _Registry(http.server.BaseHTTPRequestHandler):
    """Answers one manifest, to those who hold the token that everybody gets."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": "everybody"}).encode())

    def do_HEAD(self) -> None:
        if not self.path.startswith("/v2/library/postgres/manifests/15"):
            self.send_response(404)
        elif self.headers.get("Authorization") != "Bearer everybody":
            self.send_response(401)
            port = self.server.server_address[1]
            self.send_header(
                "WWW-Authenticate", f'Bearer realm="http://127.0.0.1:{port}/token",service="s",scope="x"'
            )
        else:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()


@pytest.fixture
def registry() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def resolve(asked: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    path = ANSIBLE / "roles/site_facts/files/resolve_images.py"
    return subprocess.run(
        [sys.executable, str(path)],
        input=json.dumps(asked),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_mirror_says_the_digest(registry: str) -> None:
    asked = {"images": {"postgres": "docker.io/library/postgres:15"}, "mirrors": {"docker.io": [registry]}}
    done = resolve(asked)
    assert json.loads(done.stdout) == [
        {"name": "postgres", "newName": "docker.io/library/postgres", "digest": DIGEST}
    ]


def test_an_image_that_nobody_has_is_named(registry: str) -> None:
    host = registry.removeprefix("http://")
    done = resolve({"images": {"x": f"{host}/rookery/serve:0.1.0"}, "mirrors": {host: [registry]}})
    assert done.returncode == 1
    assert f"no registry has {host}/rookery/serve:0.1.0" in done.stderr
    assert "404" in done.stderr


def test_a_registry_that_hangs_up_is_named_like_one_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        done = resolve(
            {"images": {"x": f"{host}/rookery/serve:0.1.0"}, "mirrors": {host: [f"http://{host}"]}}
        )
    assert done.returncode == 1
    assert f"no registry has {host}/rookery/serve:0.1.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("kubectl", 60)

    monkeypatch.setattr(waiting.subprocess, "run", hang)
    assert waiting.look({"git"}) == {"git": "the cluster did not say within 60 seconds"}


def test_an_image_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="not written host/repository:tag"):
        images.split("postgres:15")


def test_every_folder_becomes_an_application(tmp_path: Path) -> None:
    for name in (
        "platform/git",
        "platform/minio",
        "pipeline/train",
        "apps/digits/staging",
        "apps/digits/release",
    ):
        (tmp_path / "k8s" / name).mkdir(parents=True)
    (tmp_path / "k8s/apps/digits/staging/kustomization.yaml").touch()
    assert waiting.wanted(tmp_path, ["k8s/pipeline/train"]) == {"git", "minio", "digits-staging", "rookery"}


def test_what_is_wrong_is_said_in_argo_cds_words() -> None:
    assert waiting.wrong({"status": {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}}) == ""
    assert waiting.wrong(None) == "there is no such application yet"
    said = waiting.wrong(
        {
            "status": {
                "sync": {"status": "OutOfSync"},
                "health": {"status": "Degraded"},
                "conditions": [{"message": "no such path"}],
                "resources": [
                    {"kind": "Deployment", "name": "git", "health": {"status": "Degraded", "message": "late"}}
                ],
                "operationState": {"phase": "Failed", "message": "one object failed"},
            }
        }
    )
    assert said == "OutOfSync, Degraded; no such path; Deployment git: late; one object failed"
