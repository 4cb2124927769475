"""`python -m services.observe [serve|prometheus|alertmanager|configure]`; settings from ROOKERY_OBSERVE_…"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.common.errors import InvalidInput, RookeryError
from services.observe import programs
from services.observe.settings import ObserveSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the parts; the exit code is 1 when a setting is not valid or a program is missing."""
    parser = argparse.ArgumentParser(prog="python -m services.observe", description="Keeps figures.")
    parser.add_argument(
        "part",
        nargs="?",
        default="serve",
        choices=["serve", "prometheus", "alertmanager", "configure"],
        help="serve figures of the pipeline; become one of the servers; or only write their configuration",
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port of the observe service; 0 takes a free one")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    part = given.pop("part")
    try:
        settings = ObserveSettings.read(**given)
        if part == "serve":
            _serve(settings)
        elif part == "configure":
            programs.configure(settings)
        else:
            programs.become(part, settings)
    except (InvalidInput, RookeryError) as error:
        print(f"rookery observe: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _serve(settings: ObserveSettings) -> None:
    import uvicorn

    from services.observe.app import create_app

    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    sys.exit(main())
