"""`python -m services.monitor`: serve until SIGTERM; settings from ROOKERY_MONITOR_… or the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.common.errors import InvalidInput
from services.data.store import ObjectStoreSettings
from services.monitor.settings import MonitorSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 1 when a setting is not valid."""
    import uvicorn

    from services.monitor.app import create_app

    parser = argparse.ArgumentParser(prog="python -m services.monitor", description="Watches what is served.")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument("--store", help="folder, or s3://bucket/prefix, that the log is kept in")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        store, settings = ObjectStoreSettings.read(), MonitorSettings.read(**given)
        app = create_app(settings, store)
    except InvalidInput as error:
        print(f"rookery monitor: {error}", file=sys.stderr)  # noqa: T201
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
