"""A real Label Studio, people who have an account there, and the labels service as it is deployed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from services.labels.launch import PROGRAM, credentials
from tests.support import web
from tests.support.database import Database
from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]
USER = "rookery@localhost"


def label_studio(folder: Path) -> Server:
    """Label Studio on SQLite, not yet started; its first start takes a minute of computing."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Server(
        [
            sys.executable,
            "-m",
            "services.labels.launch",
            "--port",
            str(port),
            "--state",
            str(folder / "studio"),
        ],
        log=folder / "label-studio.log",
        port=port,
        health="/health",
        environment={"PYTHONPATH": str(ROOT)},
        cwd=folder,
    )


def label_studio_on(database: Database, folder: Path, **words: str) -> Server:
    """Label Studio as the cluster runs it, on PostgreSQL, not yet started.

    Args:
        words: the `password`, `user_token` and secret `key` of today.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    found = urlsplit(database.uri)
    return Server(
        [str(PROGRAM.parent / "python"), "-m", "services.studio", "--port", str(port)],
        log=folder / "label-studio.log",
        port=port,
        health="/health",
        environment={
            "PYTHONPATH": str(ROOT),
            "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
            "POSTGRE_HOST": str(found.hostname),
            "POSTGRE_PORT": str(found.port),
            "POSTGRE_NAME": found.path.strip("/"),
            "POSTGRE_USER": str(found.username),
            "POSTGRE_PASSWORD": str(found.password),
            "LABEL_STUDIO_USERNAME": USER,
            "LABEL_STUDIO_PASSWORD": words["password"],
            "LABEL_STUDIO_USER_TOKEN": words["user_token"],
            "SECRET_KEY": words["key"],
        },
        cwd=folder,
    )


def labels(folder: Path, **settings: object) -> Server:
    """The labels service, not yet started; `settings` are of ROOKERY_LABELS_ without the prefix."""
    port = free_port()
    named = {f"ROOKERY_LABELS_{name.upper()}": str(value) for name, value in settings.items()}
    defaults = {
        "STATE_DIR": folder / "labels",
        "CACHE_DIR": folder / "cache",
        "PORT": port,
        "HOST": "127.0.0.1",
    }
    return Server(
        [sys.executable, "-m", "services.labels"],
        log=folder / "labels.log",
        port=port,
        health="/readyz",
        environment={
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **{f"ROOKERY_LABELS_{name}": str(value) for name, value in defaults.items()},
            **named,
        },
        cwd=folder,
    )


class Person:
    """Somebody with an account in Label Studio, who answers by its API as its page does."""

    def __init__(self, url: str, name: str, token: str) -> None:
        self.name = f"{name}@localhost"
        self.password = f"a-password-of-{name}"
        self.client = httpx.Client(base_url=url, follow_redirects=True, trust_env=False, timeout=60)
        invitation = web.get(
            f"{url}/api/invite", headers={"Authorization": f"Token {token}"}, timeout=60
        ).json()["invite_url"]
        self.client.get(invitation)
        form = {
            "email": self.name,
            "password": self.password,
            "csrfmiddlewaretoken": self.client.cookies["csrftoken"],
            "allow_newsletters": "false",
        }
        self.client.post(invitation, data=form, headers={"Referer": url}).raise_for_status()
        assert self.client.get("/api/current-user/whoami").json()["email"] == self.name

    def projects(self) -> dict[str, int]:
        """Title → number."""
        found = self.client.get("/api/projects?page_size=100").json()["results"]
        return {project["title"]: project["id"] for project in found}

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """All tasks of a project."""
        answer = self.client.get(f"/api/tasks/?project={project}&fields=all&page_size=500")
        return list(answer.json()["tasks"])

    def answer(self, task: int, *labels: str, other: str = "") -> None:
        """Submit an annotation."""
        result: list[dict[str, Any]] = [
            {"from_name": "label", "to_name": "input", "type": "choices", "value": {"choices": list(labels)}}
        ]
        if other:
            value = {"text": [other]}
            result.append({"from_name": "other", "to_name": "input", "type": "textarea", "value": value})
        headers = {"X-CSRFToken": self.client.cookies["csrftoken"], "Referer": str(self.client.base_url)}
        made = self.client.post(f"/api/tasks/{task}/annotations/", json={"result": result}, headers=headers)
        assert made.status_code == 201, made.text


def token_of(folder: Path) -> str:
    """The token of the first user of `label_studio(folder)`."""
    return credentials(folder / "studio")["token"]


def facts(folder: Path, **sources: str) -> Path:
    """A folder with the facts of applications."""
    for name, source in sources.items():
        path = folder / "applications" / name / "application.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": name, "data_source": source}))
    return folder / "applications"
