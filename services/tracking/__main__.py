"""`python -m services.tracking`: wait for database and object store, then become MLflow's server."""

from __future__ import annotations

import os
import sys

from services.common.errors import RookeryError
from services.tracking.server import command, environment
from services.tracking.settings import TrackingSettings
from services.tracking.storage import ensure_bucket, wait_for_database


def main() -> int:
    """The exit code is 1 when a setting is not valid, or database or object store do not answer in time."""
    try:
        settings = TrackingSettings.read()
        wait_for_database(settings)
        if ensure_bucket(settings):
            print(f"made the bucket {settings.bucket}", flush=True)  # noqa: T201
    except RookeryError as error:
        print(f"rookery tracking: {error}", file=sys.stderr)  # noqa: T201
        return 1
    arguments = command(settings)
    os.execve(arguments[0], arguments, environment(settings, os.environ))  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
