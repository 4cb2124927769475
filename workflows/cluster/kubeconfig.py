"""Who somebody is at a cluster, and where it is: read from a kubeconfig as kubectl reads it.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files" and "client-go credential plugins".
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.common.errors import InvalidInput, NotFound, Unavailable

_PLUGIN_SECONDS = 60.0
_DEFAULT = "~/.kube/config"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """One context of a kubeconfig, or the account of a pod in the cluster itself.

    Attributes:
        headers: that say who it is, if no client certificate in `tls` does.
        tls: None for a server without TLS.
        token: of a pod's account, which is replaced long before it ends and so read for each request.
    """

    context: str
    server: str
    tls: ssl.SSLContext | None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    token: Path | None = None

    @property
    def inside(self) -> bool:
        """Whether this process is a pod of the cluster, which reaches every Service by its name."""
        return self.token is not None


def load_access(kubeconfig: Path | None = None, context: str | None = None) -> Access:
    """The access that a context of the kubeconfig gives.

    Args:
        kubeconfig: a file; None for those of KUBECONFIG, else ~/.kube/config.
        context: its name; None for the current one.

    Raises:
        NotFound: no file, or no such context.
        InvalidInput: a file that is no kubeconfig.
        Unavailable: the credential plugin that it names did not answer.
    """
    files = [kubeconfig] if kubeconfig else _files()
    merged = _merge(files)
    contexts = merged["contexts"]
    name = context or merged["current"]
    if not contexts or (not context and not name):
        raise NotFound(
            "the kubeconfig names no current context", value=_shown(files), allowed="--context NAME"
        )
    if name not in contexts:
        raise NotFound(
            "the kubeconfig has no such context", value=name, allowed=", ".join(sorted(contexts)) or "none"
        )
    chosen = contexts[name]
    cluster = merged["clusters"].get(chosen.get("cluster"))
    if not cluster or "server" not in cluster:
        raise InvalidInput(f"context {name} of the kubeconfig names no cluster", value=chosen.get("cluster"))
    user = merged["users"].get(chosen.get("user")) or {}
    if "exec" in user:
        user = {**user, **_ask_plugin(user["exec"])}
    server = str(cluster["server"]).rstrip("/")
    tls = _tls(cluster, user) if server.startswith("https://") else None
    return Access(name, server, tls, _headers(user))


def account_access(server: str, account: Path = ACCOUNT) -> Access:
    """The access that a pod has by its service account.

    Args:
        server: address of the Kubernetes API.
        account: folder with `token` and `ca.crt`.

    Raises:
        Unavailable: the pod was given no token.
    """
    token = account / "token"
    try:
        token.read_bytes()
        tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except OSError as error:
        raise Unavailable(f"there is no token for the Kubernetes API: {error.strerror}") from error
    return Access("of this pod", server.rstrip("/"), tls, token=token)


def _files() -> list[Path]:
    given = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [path.expanduser() for path in given or [Path(_DEFAULT)]]


def _shown(files: list[Path]) -> str:
    return ", ".join(map(str, files))


def _merge(files: list[Path]) -> dict[str, Any]:
    """All entries by name; the first file that has a name wins."""
    found: dict[str, Any] = {"current": "", "contexts": {}, "clusters": {}, "users": {}}
    there = [path for path in files if path.is_file()]
    if not there:
        raise NotFound(
            "there is no kubeconfig",
            value=_shown(files),
            allowed="--kubeconfig FILE, or the variable KUBECONFIG",
        )
    for path in there:
        try:
            content = yaml.safe_load(path.read_text()) or {}
            found["current"] = found["current"] or content.get("current-context") or ""
            for plural, singular in (("contexts", "context"), ("clusters", "cluster"), ("users", "user")):
                for entry in content.get(plural) or []:
                    inside = _absolute(entry.get(singular) or {}, path.parent)
                    found[plural].setdefault(entry["name"], inside)
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError) as error:
            raise InvalidInput("this is no kubeconfig", value=str(path)) from error
    return found


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    paths = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    return {key: str(folder / value) if key in paths else value for key, value in entry.items()}


def _headers(user: dict[str, Any]) -> dict[str, str]:
    token = user.get("token")
    if not token and "tokenFile" in user:
        token = Path(user["tokenFile"]).read_text().strip()
    if token:
        return {"Authorization": f"Bearer {token}"}
    if "username" in user:
        pair = f"{user['username']}:{user.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = _decoded(cluster, "certificate-authority")
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = _decoded(user, "client-certificate"), _decoded(user, "client-key")
        if certificate and key:
            # The ssl module takes them from a file only.
            with _secret_file(certificate + b"\n" + key) as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidInput(f"a certificate or key of the kubeconfig cannot be used: {error}") from error
    return context


def _decoded(entry: dict[str, Any], name: str) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    path = entry.get(name)
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotFound(f"{name} of the kubeconfig cannot be read", value=path) from error


@contextmanager
def _secret_file(data: bytes) -> Iterator[str]:
    descriptor, path = tempfile.mkstemp(prefix="rookery-key-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        yield path
    finally:
        with suppress(OSError):
            Path(path).unlink()


def _ask_plugin(wanted: dict[str, Any]) -> dict[str, Any]:
    """What a credential plugin answers, under the names that a kubeconfig has for it."""
    command = [str(wanted["command"]), *map(str, wanted.get("args") or [])]
    given = {entry["name"]: str(entry["value"]) for entry in wanted.get("env") or []}
    question = {"apiVersion": wanted["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(question)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, check=True, timeout=_PLUGIN_SECONDS, text=True
        )
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        detail = str(getattr(error, "stderr", "") or error).strip()[-300:]
        raise Unavailable(f"the credential plugin {command[0]} did not answer: {detail}") from error
    names = {"token": "token", "clientCertificateData": "client-certificate", "clientKeyData": "client-key"}
    found = {names[key]: value for key, value in status.items() if key in names}
    return {
        key if key == "token" else f"{key}-data": (
            value if key == "token" else base64.b64encode(value.encode()).decode()
        )
        for key, value in found.items()
    }
