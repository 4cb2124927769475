"""Brings one environment to what git says: the old process serves until the new one is ready."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from services.common.errors import RookeryError
from services.common.files import write_json
from workflows.local.serving import Key, Record, Release, Serving, Starting
from workflows.local.settings import PlatformSettings
from workflows.local.sockets import Sockets
from workflows.release.image import ImageStore

HOST = "127.0.0.1"
_TICK_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 60.0
_STABLE_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Environment(threading.Thread):
    """The loop of one environment.

    Args:
        folder: <home>/deploy/<application>/<environment>.
    """

    def __init__(self, settings: PlatformSettings, folder: Path) -> None:
        super().__init__(name=f"{folder.parent.name}/{folder.name}", daemon=True)
        self._settings = settings
        self._folder = folder
        self._store = ImageStore(settings.images)
        self._sockets = Sockets(settings.home)
        self._record = Record(folder)
        self._wake = threading.Event()
        self._told = threading.Event()
        self._ending = threading.Event()
        self._wanted: Release | None = None
        self._problem = ""
        self._serving: Serving | None = None
        self._draining: list[tuple[Serving, float]] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._failures = 0
        self._not_before = 0.0
        self._status: dict[str, object] = {}
        self._since: tuple[Key, str] | None = None

    def want(self, release: Release | None, problem: str = "") -> None:
        """Says what git wants now; with a `problem` git cannot be understood, and the old one stays."""
        if release != self._wanted or problem != self._problem:
            self._failures, self._not_before = 0, 0.0
        self._wanted, self._problem = release, problem
        self._told.set()
        self._wake.set()

    def end(self) -> None:
        """Ends the loop and leaves the serving process as it is."""
        self._ending.set()
        self._told.set()
        self._wake.set()

    def run(self) -> None:
        self._take_over()
        self._told.wait()
        while not self._ending.is_set():
            release = self._wanted
            try:
                self._step(release)
            except (RookeryError, OSError) as error:
                self._failed(release, str(error))
            except Exception as error:
                # Nobody restarts this loop, so a fault of its own must not end it.
                _log.exception("%s", self.name)
                self._failed(release, f"{type(error).__name__}: {error}")
            self._wake.wait(_TICK_SECONDS)
            self._wake.clear()

    def _take_over(self) -> None:
        for role, serving in self._record.read().items():
            if not serving.process.alive():
                continue
            if role == "serving":
                self._serving = serving
                _log.info("%s: takes over process %d", self.name, serving.process.pid)
            else:
                self._drain(serving)

    def _step(self, release: Release | None) -> None:
        self._reap()
        serving = self._serving
        if serving is not None and not serving.process.alive():
            self._crashed(serving)
            serving = self._serving
        if self._problem:
            self._report("failed", self._problem)
        elif release is None:
            self._empty(serving)
        elif serving is not None and serving.release.key == release.key:
            if serving.release != release:
                self._serving = Serving(serving.process, release, serving.started)
                self._remember()
            self._report("running", "")
        elif time.monotonic() >= self._not_before:
            self._replace(release, serving)

    def _replace(self, release: Release, serving: Serving | None) -> None:
        self._report("starting", f"starts {release.image_digest}")
        rootfs = self._folder / release.image_digest.removeprefix("sha256:")
        self._store.unpack(release.image_digest, rootfs)
        listener = self._sockets.get(HOST, release.port, shared=_shares(serving, release))
        starting = Starting(self._settings, release, rootfs, listener.fileno())
        self._remember(starting.serving)
        try:
            ready, child = starting.wait()
        finally:
            self._remember()
        self._children.append(child)
        self._serving = ready
        self._remember()
        self._report("running", "")
        _log.info("%s: process %d serves %s", self.name, ready.process.pid, release.image_digest)
        if serving is not None:
            self._drain(serving)
            if serving.release.port != release.port:
                self._sockets.close(HOST, serving.release.port)

    def _empty(self, serving: Serving | None) -> None:
        if serving is not None:
            self._drain(serving)
            self._serving = None
            self._sockets.close(HOST, serving.release.port)
            self._remember()
        self._report("empty", "git holds no release for this environment")

    def _crashed(self, serving: Serving) -> None:
        _log.warning("%s: process %d ended by itself", self.name, serving.process.pid)
        self._serving = None
        self._remember()
        if time.time() - serving.started > _STABLE_SECONDS:
            self._failures = 0
        if self._failures:
            self._back_off()
        self._failures += 1
        self._report("restarting", f"process {serving.process.pid} ended by itself")

    def _failed(self, release: Release | None, reason: str) -> None:
        _log.error("%s: %s", self.name, reason)
        self._failures += 1
        self._back_off()
        if self._serving is None and release is not None:
            self._sockets.close(HOST, release.port)
        self._report("failed", reason)

    def _back_off(self) -> None:
        pause = self._settings.deploy_backoff_seconds * 2 ** min(self._failures - 1, 10)
        self._not_before = time.monotonic() + min(pause, _LONGEST_BACKOFF_SECONDS)

    def _drain(self, serving: Serving) -> None:
        serving.process.signal(signal.SIGTERM)
        self._draining.append((serving, time.monotonic() + self._settings.stop_seconds))
        self._remember()

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]
        for serving, deadline in self._draining:
            if serving.process.alive() and time.monotonic() > deadline:
                serving.process.signal(signal.SIGKILL, group=True)
        gone = [entry for entry in self._draining if not entry[0].process.alive()]
        if gone:
            self._draining = [entry for entry in self._draining if entry not in gone]
            self._remember()
            self._tidy()

    def _tidy(self) -> None:
        """Removes unpacked images that no process was started from; the store still has them."""
        users = [serving for serving, _ in self._draining] + ([self._serving] if self._serving else [])
        kept = {serving.release.image_digest.removeprefix("sha256:") for serving in users}
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _remember(self, starting: Serving | None = None) -> None:
        old = {f"draining-{serving.process.pid}": serving for serving, _ in self._draining}
        self._record.write({"serving": self._serving, "starting": starting, **old})

    def _report(self, phase: str, reason: str) -> None:
        serving, release = self._serving, self._wanted
        status: dict[str, object] = {
            "phase": phase,
            "reason": reason,
            "desired": release.image_digest if release else "",
            "commit": release.commit if release else "",
            "model_version": serving.release.model_version if serving else "",
            "running": serving.release.image_digest if serving else "",
            "pid": serving.process.pid if serving else 0,
            "port": serving.release.port if serving else (release.port if release else 0),
            "since": datetime.fromtimestamp(serving.started, UTC).isoformat() if serving else "",
        }
        if status != self._status:
            write_json(self._folder / "status.json", status)
            self._status = status


def _shares(serving: Serving | None, release: Release) -> bool:
    return serving is not None and serving.release.port == release.port
