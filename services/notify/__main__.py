"""`python -m services.notify`: serve until SIGTERM; settings from ROOKERY_NOTIFY_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.program import options, run
from services.notify.settings import NotifySettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    return run("notify", options("notify", "Tells people."), arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, NotifySettings]:
    from services.notify.app import create_app

    settings = NotifySettings.read(**given)
    return create_app(settings), settings


if __name__ == "__main__":
    sys.exit(main())
