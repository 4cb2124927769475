"""`python -m services.arbiter`: decide until SIGTERM; settings from ROOKERY_ARBITER_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.arbiter.settings import ArbiterSettings
from services.common.program import log_work, options, run

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    return run("arbiter", options("arbiter", "Decides about retraining."), arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, ArbiterSettings]:
    from services.arbiter.app import create_app

    log_work()
    settings = ArbiterSettings.read(**given)
    return create_app(settings), settings


if __name__ == "__main__":
    sys.exit(main())
