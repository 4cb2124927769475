"""`python -m services.evaluate`: serve until SIGTERM; settings from ROOKERY_EVALUATE_… or the options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.program import options, run
from services.data.store import ObjectStoreSettings
from services.evaluate.settings import EvaluateSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    return run("evaluate", options("evaluate", "Judges trained models."), arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, EvaluateSettings]:
    from services.evaluate.app import create_app

    ObjectStoreSettings.read()
    settings = EvaluateSettings.read(**given)
    return create_app(settings, dict(os.environ)), settings


if __name__ == "__main__":
    sys.exit(main())
