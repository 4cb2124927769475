"""`python -m services.evaluate`: serve until SIGTERM; settings from ROOKERY_EVALUATE_… or the options."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from services.common.errors import InvalidInput
from services.data.store import ObjectStoreSettings
from services.evaluate.settings import EvaluateSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    import uvicorn

    from services.evaluate.app import create_app

    parser = argparse.ArgumentParser(prog="python -m services.evaluate", description="Judges trained models.")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        ObjectStoreSettings.read()
        settings = EvaluateSettings.read(**given)
    except InvalidInput as error:
        print(f"rookery evaluate: {error}", file=sys.stderr)  # noqa: T201
        return 1
    uvicorn.run(
        create_app(settings, dict(os.environ)),
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
