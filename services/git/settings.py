"""Settings of the git server, from environment variables ROOKERY_GITSERVER_…; the standard library alone.

The hooks read them too: what the server was started with reaches them through the environment of each request.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "ROOKERY_GITSERVER_"
_YES = {"true": True, "1": True, "false": False, "0": False}


class SettingsError(ValueError):
    """A setting that is not valid, or a variable that is no setting."""


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class GitServerSettings:
    """Settings of the git server in the cluster."""

    root: str = _setting("/srv/git", "folder of the repository, on a volume")
    repository: str = _setting("rookery.git", "name of the repository in that folder and in its address")
    branch: str = _setting("main", "branch that the environments follow; never deleted, never rewritten")
    host: str = _setting("0.0.0.0", "address to listen on")  # noqa: S104
    port: int = _setting(8080, "port to listen on")
    users_file: str = _setting(
        "/etc/rookery-git/users/htpasswd", "users and hashed passwords, read for each request"
    )
    writers: str = _setting("operator", "users who may write everything, comma separated")
    releasers: str = _setting("release", "users who may write release folders only; all others only read")
    images: str = _setting("", "what the name of every released image begins with; empty: any name")
    public_url: str = _setting(
        "http://git.rookery.svc/rookery.git", "address of the repository as Argo CD knows it"
    )
    webhook_url: str = _setting("", "told of each push, as GitHub tells it; empty: nobody")
    webhook_secret_file: str = _setting(
        "/etc/rookery-git/webhook/secret",
        "file with the secret that the notice is signed with; missing: unsigned",
    )
    webhook_seconds: float = _setting(3.0, "bound of telling of one push; the push succeeds all the same")
    webhook_insecure: bool = _setting(False, "take any certificate of the webhook")
    max_megabytes: int = _setting(512, "largest push")
    scratch: str = _setting("/tmp/git-server", "folder that may be lost")  # noqa: S108

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> GitServerSettings:
        """The settings in an environment over the defaults.

        Raises:
            SettingsError: a variable with our prefix is no setting, or has no valid value.
        """
        known = {PREFIX + item.name.upper(): item for item in fields(cls)}
        given: dict[str, Any] = {}
        for name, text in sorted(environment.items()):
            if not name.startswith(PREFIX):
                continue
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
                raise SettingsError(f"the environment variable {name} is no setting; did you mean {near}?")
            given[known[name].name] = _parse(name, text, known[name].default)
        return cls(**given)._checked()

    @property
    def path(self) -> Path:
        """The repository's folder."""
        return Path(self.root) / self.repository

    @property
    def main_ref(self) -> str:
        """The full name of the branch that the environments follow."""
        return f"refs/heads/{self.branch}"

    def may_write_all(self, user: str) -> bool:
        """Whether a user is bound by nothing but the protection of the branch."""
        return user in _names(self.writers)

    def may_release(self, user: str) -> bool:
        """Whether a user may write release folders."""
        return user in _names(self.releasers)

    def environment(self) -> dict[str, str]:
        """The variables that give these settings again."""
        return {PREFIX + item.name.upper(): _text(getattr(self, item.name)) for item in fields(self)}

    def _checked(self) -> GitServerSettings:
        for name, pattern in (
            ("repository", r"[A-Za-z0-9][A-Za-z0-9_-]*\.git"),
            ("branch", r"[A-Za-z0-9][A-Za-z0-9._/-]*"),
            ("host", r"[0-9A-Fa-f.:]+"),
            ("root", r"/[A-Za-z0-9._/-]*"),
            ("scratch", r"/[A-Za-z0-9._/-]*"),
            ("users_file", r"/[A-Za-z0-9._/-]*"),
            ("images", r"([a-z0-9][a-z0-9._:/-]*/)?"),
            ("webhook_url", r"(https?://[^\s\"\\]+)?"),
            ("public_url", r"https?://[^\s\"\\]+"),
        ):
            value = str(getattr(self, name))
            if not re.fullmatch(pattern, value):
                raise SettingsError(f"setting `{name}` is not valid (got {value!r}); allowed: {pattern}")
        if not 0 < self.port < 65536 or self.webhook_seconds <= 0 or self.max_megabytes <= 0:
            raise SettingsError(
                "port, webhook_seconds and max_megabytes are more than 0, and a port less than 65536"
            )
        return self


def _parse(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        if text.lower() not in _YES:
            raise SettingsError(f"{name} is not valid (got {text!r}); allowed: true, false")
        return _YES[text.lower()]
    if isinstance(default, (int, float)):
        try:
            return type(default)(text)
        except ValueError as error:
            raise SettingsError(f"{name} is no number (got {text!r})") from error
    return text


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
