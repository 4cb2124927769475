"""Prometheus and Alertmanager: where they are, and how they are started on one machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

from services.common.errors import NotFound
from services.observe import configuration
from services.observe.configuration import Places
from services.observe.settings import ObserveSettings

NAMES = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "promtool": ("promtool",),
    "amtool": ("amtool",),
}


def find(program: str, folder: Path | None = None) -> Path:
    """The program in the folder, or on the path.

    Raises:
        NotFound: it is not there.
    """
    for name in NAMES[program]:
        if folder is not None:
            if (folder / name).is_file():
                return folder / name
        elif found := shutil.which(name):
            return Path(found)
    raise NotFound(
        f"there is no {program} on this machine",
        value=str(folder) if folder else None,
        allowed="run .ci/prometheus, which installs Debian's package, or set ROOKERY_OBSERVE_PROGRAMS",
    )


def command(program: str, settings: ObserveSettings) -> list[str]:
    """How a server is started; it listens on the loopback interface alone."""
    path = find(program, settings.programs)
    state = settings.state_dir.absolute()
    if program == "prometheus":
        words = [
            f"--config.file={state / configuration.PROMETHEUS}",
            f"--storage.tsdb.path={state / 'samples'}",
            f"--storage.tsdb.retention.time={settings.keep_days}d",
            f"--storage.tsdb.retention.size={settings.keep_megabytes}MB",
            f"--web.listen-address=127.0.0.1:{settings.prometheus_port}",
            "--web.cors.origin=^$",
            "--log.level=warn",
        ]
    else:
        words = [
            f"--config.file={state / configuration.ALERTMANAGER}",
            f"--storage.path={state / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{settings.alertmanager_port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
    return [str(path), *words]


def places(settings: ObserveSettings) -> Places:
    """Where the parts are on one machine."""
    return Places(
        observe=f"127.0.0.1:{settings.port}",
        prometheus=f"127.0.0.1:{settings.prometheus_port}",
        alertmanager=f"127.0.0.1:{settings.alertmanager_port}",
        notify=settings.notify_url,
    )


def configure(settings: ObserveSettings) -> None:
    """Write the configuration of both servers."""
    configuration.write(
        settings.state_dir,
        places(settings),
        settings.limits(),
        settings.scrape_seconds,
        settings.notify_token.get_secret_value(),
    )


def become(program: str, settings: ObserveSettings) -> NoReturn:
    """Configure the server and become it: whoever started this process has started the server.

    Raises:
        NotFound: the program is not on this machine.
    """
    words = command(program, settings)
    configure(settings)
    os.execv(words[0], words)  # noqa: S606
