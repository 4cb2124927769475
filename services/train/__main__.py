"""`python -m services.train`: the train service, configured by ROOKERY_TRAIN_…"""

from __future__ import annotations

import logging
import sys

import uvicorn

from services.common.errors import InvalidInput
from services.data.store import ObjectStoreSettings
from services.train.app import create_app
from services.train.settings import TrainSettings


def main() -> int:
    """Serve until a signal comes; the exit code is 1 when a setting is not valid."""
    try:
        ObjectStoreSettings.read()
        settings = TrainSettings.read()
    except InvalidInput as error:
        print(f"rookery train: {error}", file=sys.stderr)  # noqa: T201
        return 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
