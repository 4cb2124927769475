"""`python -m services.studio`: bring Label Studio's database and first user up to date, then become its server.

Label Studio's own settings say where the database is (`POSTGRE_HOST`, …), who the first user is
(`LABEL_STUDIO_USERNAME`, `LABEL_STUDIO_PASSWORD`, `LABEL_STUDIO_USER_TOKEN`) and what it signs with (`SECRET_KEY`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from services.common.errors import RookeryError
from services.studio.server import command, environment
from services.studio.users import prepare


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code is 1 when a setting is missing, or the database does not answer in time."""
    parser = argparse.ArgumentParser(
        prog="python -m services.studio", description="Label Studio on PostgreSQL."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on")
    given = parser.parse_args(arguments)
    try:
        own = environment(os.environ)
        os.environ.update(own)
        prepare(own)
    except RookeryError as error:
        print(f"rookery studio: {error}", file=sys.stderr)  # noqa: T201
        return 1
    argv = command(given.host, given.port)
    os.execve(argv[0], argv, own)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
