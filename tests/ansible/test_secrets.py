"""The program that makes secrets, with a kubectl that keeps them in memory."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.monitor.writers import server_token
from tests.ansible.support import ANSIBLE, program

making = program("secrets", "make_secrets.py")


class Kubectl:
    """Secrets by namespace and name; namespaces that exist."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}
        self.namespaces = {"rookery", "rookery-workflows", "argocd"}

    def __call__(self, *words: str, stdin: str = "") -> str:
        match words:
            case ("get", "secret", name, "--namespace", namespace, *_):
                data = self.secrets.get((namespace, name))
                return "" if data is None else json.dumps({"data": {k: _packed(v) for k, v in data.items()}})
            case ("apply", *_):
                given = json.loads(stdin)
                place = (given["metadata"]["namespace"], given["metadata"]["name"])
                assert place[0] in self.namespaces
                # What server-side apply does with a manager's own keys that are left out.
                self.secrets[place] = given["stringData"]
                return ""
            case ("get", "namespaces", *_):
                environments = sorted(self.namespaces - {"rookery", "rookery-workflows", "argocd"})
                return json.dumps({"items": [{"metadata": {"name": name}} for name in environments]})
            case ("get", "namespace", name, *_):
                return f"namespace/{name}" if name in self.namespaces else ""
            case ("create", "namespace", name):
                self.namespaces.add(name)
                return ""
            case ("delete", "secret", name, "--namespace", namespace):
                del self.secrets[namespace, name]
                return ""
        raise AssertionError(words)


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kubectl:
    folder = tmp_path / "k8s/apps/digits/staging"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").touch()
    made = Kubectl()
    monkeypatch.setattr(making, "kubectl", made)
    monkeypatch.setattr(making, "hashed", lambda plain: f"hash of {len(plain)}")
    monkeypatch.delenv("GIT_URL", raising=False)
    for name, value in {"TREE": str(tmp_path), "PREDICTIONS": "logged", "KEEP_INPUTS": "true"}.items():
        monkeypatch.setenv(name, value)
    return made


def test_a_second_run_changes_nothing(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    making.main()
    assert capsys.readouterr().out
    before = json.dumps(sorted(map(str, kubectl.secrets.items())))
    making.main()
    assert capsys.readouterr().out == ""
    assert json.dumps(sorted(map(str, kubectl.secrets.items()))) == before


def test_what_two_places_need_is_the_same_in_both(kubectl: Kubectl) -> None:
    making.main()
    found = kubectl.secrets
    assert found["rookery", "arbiter"]["token"] == found["rookery-workflows", "arbiter"]["token"]
    assert set(found["rookery-workflows", "arbiter"]) == {"token"}
    assert found["rookery", "notices"] == found["rookery-workflows", "notices"]
    assert found["rookery-workflows", "monitor"] == {"token": found["rookery", "monitor"]["token"]}
    assert found["rookery", "postgres"]["arbiter"] in found["rookery", "arbiter"]["database"]
    assert found["rookery", "git-reader"]["password"] == found["rookery", "git-users"]["reader"]
    assert "reader:hash of 48" in found["rookery", "git-users"]["htpasswd"]
    values = [value for data in found.values() for key, value in data.items() if key == "token"]
    assert len(set(values)) == len([name for name in found if "token" in found[name]]) - 3


def test_a_site_where_people_label_has_the_keys_for_it_and_its_own_store_stays(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    making.main()
    found = kubectl.secrets
    assert found["rookery", "labels"]["url"] == ""
    assert ("rookery", "data-store") not in found
    monkeypatch.setenv("LABELS", "wanted")
    capsys.readouterr()
    making.main()
    assert capsys.readouterr().out.splitlines() == ["rookery/labels", "rookery/data-store"]
    assert found["rookery", "labels"]["url"] == "http://labels.rookery.svc:9098"
    studio = found["rookery", "label-studio"]
    assert len(studio["token"]) == 40
    assert studio["database-password"] == found["rookery", "postgres"]["label-studio"]
    assert len({studio[key] for key in ("password", "token", "secret-key", "database-password")}) == 4
    assert (
        found["rookery", "data-store"]["ROOKERY_S3_SECRET_KEY"] == found["rookery", "labels"]["s3-secret-key"]
    )
    making.main()
    assert capsys.readouterr().out == ""
    own = {"ROOKERY_S3_ENDPOINT": "store.example:443", "ROOKERY_S3_ACCESS_KEY": "me"}
    found["rookery", "data-store"] = own
    making.main()
    assert found["rookery", "data-store"] == own


def test_a_new_key_of_the_labels_service_reaches_those_who_read_with_it(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELS", "wanted")
    making.main()
    del kubectl.secrets["rookery", "labels"]
    making.main()
    key = kubectl.secrets["rookery", "labels"]["s3-secret-key"]
    assert kubectl.secrets["rookery", "data-store"]["ROOKERY_S3_SECRET_KEY"] == key


def test_servers_of_every_environment_can_hand_over_their_log(
    kubectl: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.namespaces.add("birds-canary")
    making.main()
    assert "digits-staging" in kubectl.namespaces
    logs = {place: kubectl.secrets[place, "prediction-log"] for place in ("digits-staging", "birds-canary")}
    keys = {data["ROOKERY_SERVE_LOG_KEY"] for data in logs.values()}
    assert len(keys) == 2
    token = SecretStr(kubectl.secrets["rookery", "monitor"]["token"])
    for place, data in logs.items():
        assert data["ROOKERY_SERVE_LOG_TOKEN"] == server_token(token, place)
        assert data["ROOKERY_SERVE_LOG_INPUTS"] == "true"
    said = capsys.readouterr().out
    assert not any(value in said for data in logs.values() for value in data.values())


def test_a_site_that_watches_nothing_logs_nothing(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    making.main()
    monkeypatch.setenv("PREDICTIONS", "")
    capsys.readouterr()
    making.main()
    assert ("digits-staging", "prediction-log") not in kubectl.secrets
    assert capsys.readouterr().out == "digits-staging/prediction-log removed\n"


def test_a_git_server_outside_is_asked_by_its_own_login(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": "https://git.example/x.git", "USERNAME": "me", "PASSWORD": "given"}.items():
        monkeypatch.setenv(f"GIT_{name}", value)
    making.main()
    for place in (("rookery", "git-reader"), ("rookery-workflows", "git-release")):
        assert kubectl.secrets[place] == {"username": "me", "password": "given"}


FILE = """#!/bin/sh
case "$*" in
  apply*) [ ! -e refuse ] || { echo "Forbidden: not you" >&2; exit 1; }; cat >>applied ;;
  *namespaces*) echo '{"items": []}' ;;
esac
"""


@pytest.mark.parametrize("refuses", [False, True])
def test_the_login_comes_by_standard_input_and_what_fails_is_said(refuses: bool, tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text(FILE)
    (tmp_path / "kubectl").chmod(0o755)
    if refuses:
        (tmp_path / "refuse").touch()
    remote = {"GIT_URL": "https://git.example/x.git", "GIT_USERNAME": "me"}
    done = subprocess.run(
        [sys.executable, ANSIBLE / "roles/secrets/files/make_secrets.py"],
        input=json.dumps({"password": "of-nobody-else"}),
        env={**remote, "TREE": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "of-nobody-else" not in done.stdout + done.stderr
    if refuses:
        assert (done.returncode, done.stderr) == (
            1,
            "kubectl apply --server-side failed: Forbidden: not you\n",
        )
    else:
        assert done.returncode == 0, done.stderr
        assert '"username": "me", "password": "of-nobody-else"' in (tmp_path / "applied").read_text()


def test_a_cluster_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(making, "SECONDS", 0.2)
    with pytest.raises(subprocess.TimeoutExpired):
        making.read("rookery", "postgres")
