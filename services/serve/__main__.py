"""`python -m services.serve --bundle DIR [--port N | --fd N]`: serve one bundle until SIGTERM."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from services.common.errors import InvalidInput, RookeryError
from services.serve.settings import ServeSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code is 0 after a drain and 1 when the bundle or a setting is refused."""
    try:
        settings = _settings(arguments)
        serve(settings)
    except RookeryError as error:
        print(f"rookery serve: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def serve(settings: ServeSettings) -> None:
    """Load the bundle, then accept connections until SIGTERM or SIGINT.

    Raises:
        InvalidInput, IntegrityError: the bundle is refused, or the address cannot be bound.
    """
    from uvicorn import Config

    from services.bundle.reader import read_bundle
    from services.serve.app import create_app
    from services.serve.protocol import DrainingServer, make_protocol

    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    app = create_app(read_bundle(settings.bundle), settings.model_copy(update={"host": host}))

    def drain() -> None:
        app.draining = True

    config = Config(
        app,
        http=make_protocol(settings.receipt_seconds, b"/predict", app.predict.quick, app.hosts),
        ws="none",
        lifespan="off",
        loop="uvloop",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        log_level=settings.log_level,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(9 - settings.drain_seconds)),
        backlog=2048,
    )
    print(f"serving {app.identity.bundle_digest} on http://{host}:{port}", flush=True)  # noqa: T201
    try:
        DrainingServer(config, settings.drain_seconds, drain, lambda: _announce(settings.ready_fd)).run(
            sockets=[listener]
        )
    finally:
        app.close()


def _announce(ready_fd: int | None) -> None:
    if ready_fd is None:
        return
    try:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)
    except OSError as error:
        raise InvalidInput(f"nobody waits for readiness: {error.strerror}", value=ready_fd) from error


def _listen(settings: ServeSettings) -> socket.socket:
    try:
        if settings.fd is not None:
            listener = socket.socket(fileno=settings.fd)
        else:
            listener = socket.create_server((settings.host, settings.port), backlog=2048)
    except OSError as error:
        raise InvalidInput(
            f"cannot listen: {error.strerror}",
            value=settings.fd if settings.fd is not None else settings.port,
        ) from error
    listener.setblocking(False)
    return listener


def _settings(arguments: Sequence[str] | None) -> ServeSettings:
    parser = argparse.ArgumentParser(
        prog="python -m services.serve", description="Serve one model bundle over HTTP."
    )
    parser.add_argument("--bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument("--fd", type=int, help="inherited listening socket")
    parser.add_argument("--ready-fd", type=int, help="inherited pipe, told when everything is loaded")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return ServeSettings.read(**given)


if __name__ == "__main__":
    sys.exit(main())
