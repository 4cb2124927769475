"""`python -m services.labels.launch`: Label Studio on this machine, on SQLite, with credentials of its own.

It lives in an environment of its own, since its packages and ours do not go together; in a checkout it is installed
when it is first wanted. Nothing is sent anywhere: no analytics, no error reports, no look for newer versions. It is
reachable from this machine alone.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from services.common.errors import InvalidInput
from services.common.files import write_json

_ROOT = Path(__file__).resolve().parents[2]
PROGRAM = _ROOT / ".venv-labels" / "bin" / "label-studio"
INSTALLER = _ROOT / ".ci" / "environment"
CREDENTIALS = "credentials.json"
_QUIET = {
    "COLLECT_ANALYTICS": "0",
    "LATEST_VERSION_CHECK": "0",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "DEBUG": "0",
    "PYTHONWARNINGS": "ignore",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    # The bell that it rings when somebody answers is on this machine, which its own rule forbids.
    "SSRF_PROTECTION_ENABLED": "0",
}
_DROPPED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def credentials(state: Path) -> dict[str, str]:
    """Name, password and token of the first user; made once, readable by this user alone."""
    path = state / CREDENTIALS
    if path.exists():
        found = json.loads(path.read_text())
        if isinstance(found, dict) and {"username", "password", "token", "secret"} <= found.keys():
            return {str(name): str(value) for name, value in found.items()}
    made = {
        "username": "rookery@localhost",
        "password": secrets.token_urlsafe(18),
        "token": secrets.token_hex(20),
        "secret": secrets.token_urlsafe(36),
    }
    write_json(path, made)
    return made


def command(program: Path, state: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the server. The secrets are in the environment, where `ps` does not show them.

    Raises:
        InvalidInput: Label Studio is not installed.
    """
    if not program.exists():
        raise InvalidInput(
            "Label Studio is not installed", value=str(program), allowed="`.ci/environment --labels` first"
        )
    state.mkdir(parents=True, exist_ok=True)
    # Label Studio's database has the token in clear.
    state.chmod(0o700)
    state = state.absolute()
    known = credentials(state)
    data = state / "data"
    data.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED} | _QUIET
    environment |= {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_USERNAME": known["username"],
        "LABEL_STUDIO_PASSWORD": known["password"],
        "LABEL_STUDIO_USER_TOKEN": known["token"],
        "SECRET_KEY": known["secret"],
    }
    arguments = [
        str(program),
        "start",
        "--no-browser",
        "--data-dir",
        str(data),
        "--internal-host",
        "127.0.0.1",
    ]
    return [*arguments, "--port", str(port), "--log-level", "WARNING"], environment


def install(program: Path, installer: Path) -> None:
    """Install Label Studio when it is not there and this is a checkout; its output is ours."""
    if program == PROGRAM and not program.exists() and installer.exists():
        subprocess.run([installer, "--labels"], check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Become Label Studio; the exit code is 1 when it is not installed."""
    parser = argparse.ArgumentParser(
        prog="python -m services.labels.launch", description="Label Studio here, on SQLite."
    )
    parser.add_argument("--port", type=int, default=5000, help="port to listen on")
    parser.add_argument(
        "--state", type=Path, default=Path(".rookery/label-studio"), help="folder of its database"
    )
    parser.add_argument("--program", type=Path, default=PROGRAM, help="where Label Studio is installed")
    given = parser.parse_args(arguments)
    install(given.program, INSTALLER)
    try:
        argv, environment = command(given.program, given.state, given.port)
    except InvalidInput as error:
        print(f"rookery labels: {error}", file=sys.stderr)  # noqa: T201
        return 1
    os.chdir(given.state)
    os.execve(argv[0], argv, environment)  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main())
