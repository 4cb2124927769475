"""`python -m services.train`: serve until SIGTERM; settings from ROOKERY_TRAIN_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.program import log_work, options, run
from services.data.store import ObjectStoreSettings
from services.train.settings import TrainSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    return run("train", options("train", "Trains models."), arguments, _prepare, log_level="info")


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, TrainSettings]:
    from services.train.app import create_app

    log_work()
    ObjectStoreSettings.read()
    settings = TrainSettings.read(**given)
    return create_app(settings), settings


if __name__ == "__main__":
    sys.exit(main())
