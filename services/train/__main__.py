"""`python -m services.train`: the train service, configured by ROOKERY_TRAIN_…"""

from __future__ import annotations

import logging

import uvicorn

from services.train.app import create_app
from services.train.settings import TrainSettings


def main() -> None:
    """Serve until a signal comes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = TrainSettings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
