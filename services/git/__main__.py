"""`python3 -m services.git`: prepare the repository, then become the web server that serves it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from services.git.repository import prepare
from services.git.server import write_configuration
from services.git.settings import GitServerSettings, SettingsError


def main() -> int:
    """The exit code is 1 when a setting is not valid or the volume cannot be used."""
    try:
        settings = GitServerSettings.read()
        prepare(settings)
        configuration = write_configuration(settings)
    except (SettingsError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"rookery git: {error}", file=sys.stderr)  # noqa: T201
        return 1
    program = shutil.which("lighttpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        print("rookery git: the web server lighttpd is not installed", file=sys.stderr)  # noqa: T201
        return 1
    print(f"serving {settings.path} on port {settings.port}", flush=True)  # noqa: T201
    os.execv(program, [program, "-D", "-f", str(configuration)])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
