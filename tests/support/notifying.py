"""The notify service as it is deployed, for tests with real sockets."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]


def notify(folder: Path, **settings: object) -> Server:
    """A notify service, not yet started; `settings` are of ROOKERY_NOTIFY_ without the prefix."""
    port = free_port()
    named = {f"ROOKERY_NOTIFY_{name.upper()}": str(value) for name, value in settings.items()}
    named.setdefault("ROOKERY_NOTIFY_STATE_DIR", str(folder / "notify"))
    named.setdefault("ROOKERY_NOTIFY_RETRY_SECONDS", "0.2")
    return Server(
        [sys.executable, "-m", "services.notify", "--port", str(port)],
        log=folder / f"notify-{port}.log",
        port=port,
        health="/readyz",
        environment={"PYTHONPATH": str(ROOT), **named},
        cwd=folder,
    )
