"""The git server of the cluster as real processes: lighttpd, git's http-backend and our hooks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.gitops import REPOSITORY
from tests.support.servers import Server, free_port

# The words are operator-word, release-word and argocd-word: `openssl passwd -6 -salt rookery <word>`.
USERS = {
    "operator": "tYjc8egdbAH7ivHssz6zc7uXSPGK5KthK5B5SI6JoiyBRJiOXHUhGvnUdXk59I2RbnQ6BQzYn3KikukN5sjI//",
    "release": "gixbh.YH4R1Be919RXlThnggsi4e.LPNI7tB6O2UyVlA8YhBUWCrcZCFpQ3BfiB7/GEYfUQ8v344iebxo8mXp1",
    "argocd": "mAsbzhLnnT2w0uuDgd.mpaVFqHcb.Tj/hO8bB7pH0FbDrgTqxEICNKO4.OEkM4Cp43IPouS0R/foGNtOcHcGL.",
}


class GitServer:
    """One server with a repository below `folder`; settings are those of `services.git.settings`."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.users = folder / "htpasswd"
        folder.mkdir(parents=True)
        self.write_users(USERS)
        port = free_port()
        values = {
            "root": folder / "volume",
            "scratch": folder / "scratch",
            "users_file": self.users,
            "host": "127.0.0.1",
            "port": port,
            **settings,
        }
        self.server = Server(
            [sys.executable, "-m", "services.git"],
            log=folder / "server.log",
            port=port,
            health="/healthz",
            environment={f"ROOKERY_GITSERVER_{name.upper()}": str(value) for name, value in values.items()},
            cwd=REPOSITORY,
        )

    @property
    def repository(self) -> Path:
        """The bare repository on disk."""
        return self.folder / "volume" / "rookery.git"

    def write_users(self, users: dict[str, str]) -> None:
        """Replace the file with the hashed passwords."""
        self.users.write_text("".join(f"{name}:$6$rookery${hash_}\n" for name, hash_ in users.items()))

    def url(self, user: str = "", word: str = "") -> str:
        """The repository's address, with a login when one is given; the word is the user's own by default."""
        login = f"{user}:{word or user + '-word'}@" if user else ""
        return f"http://{login}127.0.0.1:{self.server.port}/rookery.git"

    def push(self, work: Path, user: str, *what: str, word: str = "") -> subprocess.CompletedProcess[str]:
        """Push as somebody; the result is for the test to judge."""
        return subprocess.run(
            ["git", "-c", "credential.helper=", "push", self.url(user, word), *(what or ("HEAD:main",))],
            cwd=work,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
