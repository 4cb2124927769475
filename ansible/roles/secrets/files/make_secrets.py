#!/usr/bin/env python3
"""Make the secrets of the platform that the cluster does not have yet, and bring those that follow from them in line.

Passwords are made once and kept as Kubernetes Secrets alone. What is the same password in another place or form (a
database URI, the login of a step, the webhook's key) follows from it each time: delete a Secret and run this again to
replace a password everywhere. Prints the names of what it wrote, never a value. A git remote outside the cluster brings
its own login by the environment: GIT_URL, GIT_USERNAME, GIT_PASSWORD.
"""

import base64
import json
import os
import secrets
import subprocess
from typing import Any

Data = dict[str, str]
SHOWN_LENGTH = 24


def kubectl(*words: str, stdin: str = "") -> str:
    """Return what kubectl prints; its errors hold no values of secrets."""
    return subprocess.run(["kubectl", *words], input=stdin, check=True, capture_output=True, text=True).stdout


def read(namespace: str, name: str) -> Data:
    """Return a Secret's values, or nothing where there is none."""
    text = kubectl("get", "secret", name, "--namespace", namespace, "--ignore-not-found", "--output", "json")
    data = json.loads(text).get("data", {}) if text else {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def write(namespace: str, name: str, data: Data, labels: Data | None = None) -> None:
    """Write the values of a Secret; other keys that it has stay."""
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "stringData": data,
    }
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=rookery-secrets",
        "-f",
        "-",
        stdin=json.dumps(manifest),
    )
    print(f"{namespace}/{name}")


def password() -> str:
    """Return a new password that needs no quoting in a URI, a shell or a header."""
    return secrets.token_hex(SHOWN_LENGTH)


def hashed(plain: str) -> str:
    """Return a salted hash as crypt(3) knows it."""
    return subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=plain, check=True, capture_output=True, text=True
    ).stdout.strip()


def keep(namespace: str, name: str, fields: dict[str, str]) -> Data:
    """Return a Secret with passwords of its own, and write the fields that it lacks.

    A field's value is what it starts with; an empty one is a new password.
    """
    have = read(namespace, name)
    missing = {key: start or password() for key, start in fields.items() if key not in have}
    if missing:
        write(namespace, name, have | missing)
    return have | missing


def follow(namespace: str, name: str, data: Data, labels: Data | None = None) -> None:
    """Write what follows from other Secrets where it differs."""
    have = read(namespace, name)
    if any(have.get(key) != value for key, value in data.items()):
        write(namespace, name, data, labels)


def git_users() -> Data:
    """Return the passwords of the git server's users; its file of hashes is made with them."""
    have = read("rookery", "git-users")
    users = {name: have.get(name) or password() for name in ("operator", "release", "argocd")}
    if any(have.get(name) != value for name, value in users.items()) or "htpasswd" not in have:
        lines = [f"{name}:{hashed(value)}" for name, value in users.items()]
        write("rookery", "git-users", users | {"htpasswd": "\n".join(lines) + "\n"})
    return users


def main() -> None:
    """Make and follow."""
    database = keep("rookery", "postgres", {"password": ""})["password"]
    keep("rookery", "minio", {"root-user": "rookery", "root-password": ""})
    tracking = keep("rookery", "mlflow", {"s3-access-key": "mlflow", "s3-secret-key": ""})
    hook = keep("rookery", "git-webhook", {"secret": ""})["secret"]
    users = git_users()
    uri = f"postgresql://mlflow:{database}@postgres.rookery.svc:5432/mlflow"
    follow("rookery", "mlflow", tracking | {"database-uri": uri})
    outside = os.environ.get("GIT_URL", "")
    pusher = (
        (os.environ["GIT_USERNAME"], os.environ["GIT_PASSWORD"]) if outside else ("release", users["release"])
    )
    reader = pusher if outside else ("argocd", users["argocd"])
    follow("rookery-workflows", "git-release", {"username": pusher[0], "password": pusher[1]})
    follow(
        "argocd",
        "repo-rookery",
        {
            "type": "git",
            "url": outside or "http://git.rookery.svc/rookery.git",
            "username": reader[0],
            "password": reader[1],
        },
        {"argocd.argoproj.io/secret-type": "repository"},
    )
    follow(
        "argocd", "argocd-secret", {"webhook.github.secret": hook}, {"app.kubernetes.io/part-of": "argocd"}
    )


if __name__ == "__main__":
    main()
