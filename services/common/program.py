"""What `python -m services.<name>` does: options over settings, a line for what is wrong, then serve until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from services.common.errors import RookeryError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from services.common.listening import ListeningSettings

# Settings that were given as options, to the application and its settings; None when there is nothing to serve.
Prepare = Callable[[dict[str, Any]], "tuple[ASGIApp, ListeningSettings] | None"]


def options(name: str, description: str) -> argparse.ArgumentParser:
    """The options that every service has."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}", description=description)
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    return parser


def run(
    name: str,
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    prepare: Prepare,
    *,
    log_level: str = "warning",
    grace_seconds: int = 5,
) -> int:
    """Serve what `prepare` makes; the exit code is 1 when a setting is not valid.

    Args:
        arguments: of the command line; None for those of this process.
        log_level: of the web server.
        grace_seconds: that requests may take after SIGTERM.
    """
    given = {key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        served = prepare(given)
    except (RookeryError, OSError) as error:
        print(f"rookery {name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if served is not None:
        import uvicorn

        app, settings = served
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_level=log_level,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=grace_seconds,
        )
    return 0


def log_work() -> None:
    """Say on stderr what is done, but not every call to others."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
