"""The serving process as it is deployed, for tests with real sockets."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.servers import Server, free_port

ROOT = Path(__file__).resolve().parents[2]


def serving_python() -> str:
    """The interpreter of the serving environment if there is one, which has no torch; else this one."""
    interpreter = ROOT / ".venv-serve" / "bin" / "python"
    return str(interpreter if interpreter.exists() else sys.executable)


def serve(bundle: Path, folder: Path, **settings: str) -> Server:
    """A server of `bundle`, not yet started; `settings` are of ROOKERY_SERVE_ without the prefix."""
    port = free_port()
    command = [serving_python(), "-m", "services.serve", "--bundle", str(bundle), "--port", str(port)]
    return Server(
        command,
        log=folder / f"serve-{port}.log",
        port=port,
        health="/readyz",
        environment=environment(settings),
        cwd=ROOT,
    )


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Environment variables of the server for these settings."""
    named = {f"ROOKERY_SERVE_{name.upper()}": value for name, value in settings.items()}
    return {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **named}


def resident_bytes(pid: int) -> int:
    """Memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
