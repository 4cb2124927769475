"""An ASGI application on a real socket, in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from services.common.trust import trust_for


@contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    """A client of the application, which runs with its lifespan until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, log_level="warning", lifespan="on", ws="none", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        end = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.01)
        assert server.started, "the application did not start"
        url = "http://{}:{}".format(*listener.getsockname())
        try:
            with httpx.Client(base_url=url, timeout=30, trust_env=False, verify=trust_for(url)) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(20)
