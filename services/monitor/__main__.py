"""`python -m services.monitor`: serve until SIGTERM; settings from ROOKERY_MONITOR_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.program import options, run
from services.data.store import ObjectStoreSettings
from services.monitor.settings import MonitorSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    parser = options("monitor", "Watches what is served.")
    parser.add_argument("--store", help="folder, or s3://bucket/prefix, that the log is kept in")
    return run("monitor", parser, arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, MonitorSettings]:
    from services.monitor.app import create_app

    store, settings = ObjectStoreSettings.read(), MonitorSettings.read(**given)
    return create_app(settings, store), settings


if __name__ == "__main__":
    sys.exit(main())
