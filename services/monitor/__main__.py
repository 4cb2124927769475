"""`python -m services.monitor`: serve until SIGTERM; settings from ROOKERY_MONITOR_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.errors import InvalidInput
from services.common.program import options, run
from services.data.store import ObjectStoreSettings
from services.monitor.settings import MonitorSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    parser = options("monitor", "Watches what is served.")
    parser.add_argument("--store", help="folder, or s3://bucket/prefix, that the log is kept in")
    parser.add_argument(
        "--server-token",
        metavar="ENVIRONMENT",
        help="print what the servers of an environment, such as birds-canary, say to hand over their log, and end",
    )
    return run("monitor", parser, arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, MonitorSettings] | None:
    from services.monitor.app import create_app
    from services.monitor.writers import server_token

    environment = given.pop("server_token", None)
    store, settings = ObjectStoreSettings.read(), MonitorSettings.read(**given)
    if environment is not None:
        if not settings.token.get_secret_value():
            raise InvalidInput(
                "there is no token that one for servers could follow from: set ROOKERY_MONITOR_TOKEN"
            )
        print(server_token(settings.token, environment))  # noqa: T201
        return None
    return create_app(settings, store), settings


if __name__ == "__main__":
    sys.exit(main())
