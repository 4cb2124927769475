"""`python -m services.observe [serve|prometheus|alertmanager|configure]`: settings from ROOKERY_OBSERVE_…"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.common.program import options, run
from services.observe import programs
from services.observe.settings import ObserveSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the parts; the exit code is 1 when a setting is not valid or a program is missing."""
    parser = options("observe", "Keeps figures.")
    parser.add_argument(
        "part",
        nargs="?",
        default="serve",
        choices=["serve", "prometheus", "alertmanager", "configure"],
        help="serve figures of the pipeline; become one of the servers; or only write their configuration",
    )
    return run("observe", parser, arguments, _prepare)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, ObserveSettings] | None:
    part = given.pop("part")
    settings = ObserveSettings.read(**given)
    if part == "serve":
        from services.observe.app import create_app

        return create_app(settings), settings
    if part == "configure":
        programs.configure(settings)
    else:
        programs.become(part, settings)
    return None


if __name__ == "__main__":
    sys.exit(main())
