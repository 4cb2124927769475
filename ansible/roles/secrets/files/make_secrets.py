#!/usr/bin/env python3
"""Make the secrets of the platform that the cluster does not have yet, and bring those that follow from them in line.

Passwords are made once and kept as Kubernetes Secrets alone. What is the same password in another place or form (a
database URI, the login of a step, the webhook's key) follows from it each time: delete a Secret and run this again to
replace a password everywhere. Prints the names of what it wrote, never a value. A git remote outside the cluster brings
its own login: GIT_URL and GIT_USERNAME, and on standard input a JSON object with its `password`. TREE is the work tree
with the applications; LABELS is `wanted` where people label; PREDICTIONS is `logged` where the servers of their
environments log them, KEEP_INPUTS whether with the inputs.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

Data = dict[str, str]
SHOWN_LENGTH = 24
SECONDS = 60
LOG = "prediction-log"


def kubectl(*words: str, stdin: str = "") -> str:
    """Return what kubectl prints; its errors hold no values of secrets."""
    command = ["kubectl", *words]
    done = subprocess.run(command, input=stdin, check=True, capture_output=True, text=True, timeout=SECONDS)
    return done.stdout


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
    users = {name: have.get(name) or password() for name in ("operator", "release", "argocd", "reader")}
    if any(have.get(name) != value for name, value in users.items()) or "htpasswd" not in have:
        lines = [f"{name}:{hashed(value)}" for name, value in users.items()]
        write("rookery", "git-users", users | {"htpasswd": "\n".join(lines) + "\n"})
    return users


def login(secret: tuple[str, str], user: str, given: str) -> None:
    """Write who somebody is to the git remote."""
    follow(*secret, {"username": user, "password": given})


def main() -> None:
    """Make and follow."""
    databases = keep("rookery", "postgres", {"password": "", "arbiter": "", "label-studio": ""})
    keep("rookery", "minio", {"root-user": "rookery", "root-password": ""})
    tracking = keep("rookery", "mlflow", {"s3-access-key": "mlflow", "s3-secret-key": ""})
    hook = keep("rookery", "git-webhook", {"secret": ""})["secret"]
    users = git_users()
    uri = f"postgresql://mlflow:{databases['password']}@postgres.rookery.svc:5432/mlflow"
    follow("rookery", "mlflow", tracking | {"database-uri": uri})
    outside = os.environ.get("GIT_URL", "")
    given = (os.environ["GIT_USERNAME"], os.environ["GIT_PASSWORD"]) if outside else None
    login(("rookery-workflows", "git-release"), *(given or ("release", users["release"])))
    login(("rookery", "git-reader"), *(given or ("reader", users["reader"])))
    reader = given or ("argocd", users["argocd"])
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
    # Of the services that watch and tell: each is made whether or not a site has them, and read by few.
    notices = keep("rookery", "notices", {"token": ""})
    follow("rookery-workflows", "notices", notices)
    arbiter = keep("rookery", "arbiter", {"token": ""})
    database = f"postgresql+psycopg://arbiter:{databases['arbiter']}@postgres.rookery.svc:5432/arbiter"
    follow("rookery", "arbiter", arbiter | {"database": database})
    # The command line and the steps read it here.
    follow("rookery-workflows", "arbiter", {"token": arbiter["token"]})
    keep("rookery", "board", {"token": ""})
    monitor = keep("rookery", "monitor", {"token": "", "s3-access-key": "monitor", "s3-secret-key": ""})
    follow("rookery-workflows", "monitor", {"token": monitor["token"]})
    labelling(databases["label-studio"], wanted=os.environ.get("LABELS") == "wanted")
    logged = os.environ.get("PREDICTIONS") == "logged"
    for namespace in environments(Path(os.environ["TREE"])):
        if logged:
            log(namespace, server_token(monitor["token"], namespace), inputs=os.environ["KEEP_INPUTS"])
        elif read(namespace, LOG):
            kubectl("delete", "secret", LOG, "--namespace", namespace)
            print(f"{namespace}/{LOG} removed")


def labelling(database: str, wanted: bool) -> None:
    """Write what the labels service and Label Studio need, and how the board finds the former where there is one.

    Train and evaluate read what people labelled with the Secret data-store: a site's own stays as it is.
    """
    service = keep("rookery", "labels", {"token": "", "s3-access-key": "labels", "s3-secret-key": ""})
    follow("rookery", "labels", service | {"url": "http://labels.rookery.svc:9098" if wanted else ""})
    # Label Studio's database has room for a token of 40 characters.
    token = secrets.token_hex(20)
    studio = keep("rookery", "label-studio", {"password": "", "token": token, "secret-key": ""})
    follow("rookery", "label-studio", studio | {"database-password": database})
    store = {
        "ROOKERY_S3_ENDPOINT": "minio.rookery.svc:9000",
        "ROOKERY_S3_SECURE": "false",
        "ROOKERY_S3_ACCESS_KEY": service["s3-access-key"],
        "ROOKERY_S3_SECRET_KEY": service["s3-secret-key"],
    }
    have = read("rookery", "data-store")
    if wanted and all(
        have.get(key, store[key]) == store[key] for key in store if key != "ROOKERY_S3_SECRET_KEY"
    ):
        follow("rookery", "data-store", store)


def environments(tree: Path) -> list[str]:
    """Return the namespaces of all environments: those of the work tree and those that the cluster has."""
    names = {
        f"{path.parent.parent.name}-{path.parent.name}"
        for path in tree.glob("k8s/apps/*/*/kustomization.yaml")
    }
    listed = kubectl("get", "namespaces", "--selector", "rookery/environment", "--output", "json")
    return sorted(names | {item["metadata"]["name"] for item in json.loads(listed)["items"]})


def server_token(token: str, environment: str) -> str:
    """Return what the servers of one environment say to the monitor, good for handing over its own log alone."""
    return f"{environment}.{hmac.new(token.encode(), environment.encode(), hashlib.sha256).hexdigest()}"


def log(namespace: str, token: str, inputs: str) -> None:
    """Give the servers of an environment what they need to hand over their prediction log.

    The key signs the ids of predictions, the same on all servers of an environment.
    """
    if not kubectl("get", "namespace", namespace, "--ignore-not-found", "--output", "name"):
        kubectl("create", "namespace", namespace)
    key = keep(namespace, LOG, {"ROOKERY_SERVE_LOG_KEY": ""})
    follow(
        namespace,
        LOG,
        {
            "ROOKERY_SERVE_LOG_KEY": key["ROOKERY_SERVE_LOG_KEY"],
            "ROOKERY_SERVE_LOG_DIR": "/tmp/log",  # noqa: S108 the pod's own volume
            "ROOKERY_SERVE_LOG_URL": "http://monitor.rookery.svc:9095",
            "ROOKERY_SERVE_LOG_TOKEN": token,
            "ROOKERY_SERVE_LOG_INPUTS": inputs,
        },
    )


if __name__ == "__main__":
    # What is in the environment of a task stands on a command line; the environment of this process does not.
    os.environ["GIT_PASSWORD"] = json.load(sys.stdin)["password"]
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd[:3])} failed: {error.stderr.strip()}")
    except subprocess.TimeoutExpired as error:
        sys.exit(f"{' '.join(error.cmd[:3])} did not end within {SECONDS} seconds")
