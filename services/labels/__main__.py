"""`python -m services.labels`: serve until SIGTERM; settings from ROOKERY_LABELS_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.program import options, run
from services.data.store import ObjectStoreSettings
from services.labels.settings import LabelsSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    return run("labels", options("labels", "Has people label inputs."), arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, LabelsSettings]:
    from services.labels.app import create_app

    store, settings = ObjectStoreSettings.read(), LabelsSettings.read(**given)
    return create_app(settings, store), settings


if __name__ == "__main__":
    sys.exit(main())
