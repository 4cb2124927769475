"""Who and where, from the files that kubectl reads too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.errors import InvalidInput, NotFound, Unavailable
from workflows.cluster.kubeconfig import load_access


def config(folder: Path, name: str = "config", **user: Any) -> Path:
    path = folder / name
    content = {
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
        "clusters": [{"name": "lab", "cluster": {"server": "http://127.0.0.1:9/"}}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_token_is_sent_as_bearer_and_never_shown(tmp_path: Path) -> None:
    access = load_access(config(tmp_path, token="s3cret"))
    assert (access.context, access.server, access.tls) == ("lab", "http://127.0.0.1:9", None)
    assert access.headers == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(access)


def test_a_path_is_relative_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert load_access(config(tmp_path, tokenFile="token")).headers == {"Authorization": "Bearer abc"}


def test_the_variable_names_several_files_and_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = config(tmp_path, "first", token="1"), config(tmp_path, "second", token="2")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:{first}:{second}")
    assert load_access().headers == {"Authorization": "Bearer 1"}


def test_no_file_and_no_such_context_say_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NotFound, match=r"there is no kubeconfig .*--kubeconfig FILE"):
        load_access()
    with pytest.raises(NotFound, match=r"no such context \(got 'moon'\); allowed: lab"):
        load_access(config(tmp_path), "moon")


@pytest.mark.parametrize("text", ["[", "- a\n", "contexts: 3\n", "contexts: [{context: {}}]\n"])
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="this is no kubeconfig"):
        load_access(path)


def test_a_certificate_that_is_none_is_refused_without_its_content(tmp_path: Path) -> None:
    path = config(tmp_path)
    content = yaml.safe_load(path.read_text())
    content["clusters"][0]["cluster"] = {
        "server": "https://127.0.0.1:9",
        "certificate-authority-data": "bm9uZQ==",
    }
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InvalidInput, match="certificate or key of the kubeconfig cannot be used"):
        load_access(path)


def test_a_credential_plugin_is_asked(tmp_path: Path) -> None:
    answer = json.dumps({"status": {"token": "from-plugin"}})
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", 'test -n "$KUBERNETES_EXEC_INFO" && printf "%s" "$ANSWER"'],
        "env": [{"name": "ANSWER", "value": answer}],
    }
    access = load_access(config(tmp_path, exec=plugin))
    assert access.headers == {"Authorization": "Bearer from-plugin"}
    plugin["args"] = ["-c", "echo log in first >&2; exit 1"]
    with pytest.raises(Unavailable, match="the credential plugin sh did not answer: log in first"):
        load_access(config(tmp_path, exec=plugin))
