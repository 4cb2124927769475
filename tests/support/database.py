"""A real PostgreSQL of its own for a test: Debian's, in a temporary folder, never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from tests.support.servers import free_port

_USER = "nobody"


class Database:
    """One server with a role and its database.

    Args:
        folder: where its files are; parents must be open to other users.
        name: of both.
    """

    def __init__(self, folder: Path, password: str, name: str = "mlflow") -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"postgresql://{name}:{password}@127.0.0.1:{self.port}/{name}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "--username=postgres", "--auth=scram-sha-256", f"--pwfile={self._word(password)}",
                  "--locale=C.UTF-8", "--no-sync", "-D", str(folder / "data"))  # fmt: skip
        single = [_program("postgres"), "--single", "-j", "-D", str(folder / "data"), "postgres"]
        orders = (
            f"CREATE ROLE {name} LOGIN PASSWORD '{password}';\n\nCREATE DATABASE {name} OWNER {name};\n\n"
        )
        subprocess.run(
            [*_as_user(), *single], input=orders.encode(), check=True, capture_output=True, cwd="/"
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ("-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*_as_user(), *command], stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + 60
        ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert time.monotonic() < end and self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it; what it keeps stays."""
        if self._process is not None and self._process.poll() is None:
            self._run("pg_ctl", "stop", "-m", "fast", "-D", str(self.folder / "data"))
            self._process.wait(30)

    def _run(self, name: str, *arguments: str) -> None:
        command = [*_as_user(), _program(name), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd="/")

    def _word(self, password: str) -> Path:
        path = self.folder / "password"
        path.write_text(password)
        path.chmod(0o644)
        return path


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam(_USER)
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


def _program(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} of PostgreSQL is missing: run .ci/environment --tests"
    return found
