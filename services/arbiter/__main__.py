"""`python -m services.arbiter`: decide until SIGTERM; settings from ROOKERY_ARBITER_… or the options."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from services.arbiter.settings import ArbiterSettings
from services.common.errors import InvalidInput


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    import uvicorn

    from services.arbiter.app import create_app

    parser = argparse.ArgumentParser(
        prog="python -m services.arbiter", description="Decides about retraining."
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = ArbiterSettings.read(**given)
        app = create_app(settings)
    except InvalidInput as error:
        print(f"rookery arbiter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
