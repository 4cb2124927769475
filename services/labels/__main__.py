"""`python -m services.labels`: serve until SIGTERM; settings from ROOKERY_LABELS_… or the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.common.errors import InvalidInput
from services.data.store import ObjectStoreSettings
from services.labels.settings import LabelsSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    import uvicorn

    from services.labels.app import create_app

    parser = argparse.ArgumentParser(prog="python -m services.labels", description="Has people label inputs.")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        store, settings = ObjectStoreSettings.read(), LabelsSettings.read(**given)
        app = create_app(settings, store)
    except InvalidInput as error:
        print(f"rookery labels: {error}", file=sys.stderr)  # noqa: T201
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
