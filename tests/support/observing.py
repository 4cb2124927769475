"""Prometheus, Alertmanager and the observe service as they are deployed, for tests with real sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]


@lru_cache
def programs() -> Path:
    """The folder of Prometheus and its tools, made by the first caller where the machine has none."""
    done = subprocess.run(
        [ROOT / ".ci" / "prometheus"], capture_output=True, text=True, check=True, timeout=120
    )
    return Path(done.stdout.strip())


def promtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Prometheus' own checker."""
    return subprocess.run(
        [programs() / "promtool", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Observing:
    """The three processes over one state folder, not yet started; `settings` are of ROOKERY_OBSERVE_ without it."""

    def __init__(self, folder: Path, *, targets: dict[str, str] | None = None, **settings: object) -> None:
        port, prometheus, alertmanager = free_port(), free_port(), free_port()
        named = {f"ROOKERY_OBSERVE_{name.upper()}": str(value) for name, value in settings.items()}
        environment = {
            "PYTHONPATH": str(ROOT),
            "ROOKERY_OBSERVE_PORT": str(port),
            "ROOKERY_OBSERVE_PROMETHEUS_PORT": str(prometheus),
            "ROOKERY_OBSERVE_ALERTMANAGER_PORT": str(alertmanager),
            "ROOKERY_OBSERVE_STATE_DIR": str(folder / "observe"),
            "ROOKERY_OBSERVE_PROGRAMS": str(programs()),
            "ROOKERY_OBSERVE_SCRAPE_SECONDS": "1",
            "ROOKERY_OBSERVE_READ_SECONDS": "0.5",
            "ROOKERY_OBSERVE_TARGETS": json.dumps({"observe": f"127.0.0.1:{port}", **(targets or {})}),
            **named,
        }

        def server(part: str, port: int, health: str) -> Server:
            return Server(
                [sys.executable, "-m", "services.observe", part],
                log=folder / f"{part}-{port}.log",
                port=port,
                health=health,
                environment=environment,
                cwd=folder,
            )

        self.exporter = server("serve", port, "/readyz")
        self.prometheus = server("prometheus", prometheus, "/-/ready")
        self.alertmanager = server("alertmanager", alertmanager, "/-/ready")
