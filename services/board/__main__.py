"""`python -m services.board`: serve until SIGTERM; settings from ROOKERY_BOARD_… or the options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.board.settings import BoardSettings
from services.common.program import options, run

if TYPE_CHECKING:
    from fastapi import FastAPI


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    parser = options("board", "The pages over everything.")
    parser.add_argument("--cluster", action="store_true", default=None, help="show the kubeconfig's cluster")
    parser.add_argument("--context", help="context of the kubeconfig")
    return run("board", parser, arguments, _prepare, grace_seconds=1)


def _prepare(given: dict[str, Any]) -> tuple[FastAPI, BoardSettings]:
    from services.board.app import create_app
    from services.board.place import check_place
    from workflows.local.settings import load_settings

    settings = BoardSettings.read(**given)
    check_place(settings)
    return create_app(settings, load_settings()), settings


if __name__ == "__main__":
    sys.exit(main())
