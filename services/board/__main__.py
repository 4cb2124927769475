"""`python -m services.board`: serve until SIGTERM; settings from ROOKERY_BOARD_… or the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.board.settings import BoardSettings
from services.common.errors import RookeryError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    import uvicorn

    from services.board.app import create_app
    from services.board.place import check_place
    from workflows.local.settings import load_settings

    parser = argparse.ArgumentParser(
        prog="python -m services.board", description="The pages over everything."
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument("--cluster", action="store_true", default=None, help="show the kubeconfig's cluster")
    parser.add_argument("--context", help="context of the kubeconfig")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        settings = BoardSettings.read(**given)
        check_place(settings)
        app = create_app(settings, load_settings())
    except (RookeryError, OSError) as error:
        print(f"rookery board: {error}", file=sys.stderr)  # noqa: T201
        return 1
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
