"""The monitor service as it is deployed, and a real MinIO for its store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]


def monitor(folder: Path, *, environment: dict[str, str] | None = None, **settings: object) -> Server:
    """A monitor, not yet started; `settings` are of ROOKERY_MONITOR_ without the prefix."""
    port = free_port()
    named = {f"ROOKERY_MONITOR_{name.upper()}": str(value) for name, value in settings.items()}
    named.setdefault("ROOKERY_MONITOR_STORE", str(folder / "store"))
    named.setdefault("ROOKERY_MONITOR_COLLECT_SECONDS", "0.2")
    return Server(
        [sys.executable, "-m", "services.monitor", "--port", str(port)],
        log=folder / f"monitor-{port}.log",
        port=port,
        health="/healthz",
        environment={"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **named, **(environment or {})},
        cwd=folder,
    )


def minio(folder: Path) -> tuple[Server, dict[str, str]]:
    """A MinIO, not yet started, and the settings of its clients."""
    binary = subprocess.run(
        [str(ROOT / "tests" / "tools" / "minio.sh")], capture_output=True, text=True, check=True, timeout=600
    ).stdout.strip()
    port = free_port()
    keys = {"MINIO_ROOT_USER": "rookery", "MINIO_ROOT_PASSWORD": "rookery-password"}
    server = Server(
        [binary, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "minio")],
        log=folder / "minio.log",
        port=port,
        health="/minio/health/live",
        environment=keys,
        cwd=folder,
    )
    client = {
        "ROOKERY_S3_ENDPOINT": f"127.0.0.1:{port}",
        "ROOKERY_S3_ACCESS_KEY": keys["MINIO_ROOT_USER"],
        "ROOKERY_S3_SECRET_KEY": keys["MINIO_ROOT_PASSWORD"],
        "ROOKERY_S3_SECURE": "false",
        "ROOKERY_S3_TIMEOUT_SECONDS": "5",
    }
    return server, client
