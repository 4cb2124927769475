"""Reads git, MLflow and the servers again and again, and keeps what it read last for Prometheus."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.common.errors import RookeryError, Unavailable
from services.observe.pipeline import Pipeline, read_pipelines
from services.observe.runs import Runs, read_runs
from services.observe.settings import ObserveSettings
from workflows.release.gitops import GitOps
from workflows.release.running import fetch_running

SOURCES = ("git", "mlflow")
_ASK_SECONDS = 3.0
_ASKED_AT_ONCE = 8
_log = logging.getLogger(__name__)


class Reader:
    """One thread.

    Attributes:
        pipelines, runs: as they were read last.
        synced: (application, environment) → whether the server has the released digest in memory.
        up: whether each source could be read.
        read: when each source was read last, seconds since 1970.
    """

    def __init__(self, settings: ObserveSettings) -> None:
        self.settings = settings
        self.pipelines: list[Pipeline] = []
        self.runs = Runs()
        self.synced: Mapping[tuple[str, str], bool] = {}
        self.up = dict.fromkeys(SOURCES, False)
        self.read = dict.fromkeys(SOURCES, 0.0)
        self._tip = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End after what is being read."""
        self._ended.set()
        self._thread.join(10)

    def look(self) -> None:
        """Read everything once; what is away keeps its last figures."""
        with self._reading("git"):
            git = GitOps(self.settings.git_remote, self.settings.state_dir / "git")
            tip = git.tip()
            if tip != self._tip:
                self.pipelines, self._tip = read_pipelines(git.tree(tip)), tip
        with self._reading("mlflow"):
            names = [one.facts.name for one in self.pipelines]
            self.runs = read_runs(self.settings.mlflow_url, names)
        self.synced = self._ask()

    def targets(self) -> list[dict[str, Any]]:
        """Every process that Prometheus shall scrape, as its HTTP service discovery reads them."""
        found = [
            {"targets": [target], "labels": {"service": name}}
            for name, target in sorted((self._added() | self.settings.targets).items())
            if _is_known(target)
        ]
        for pipeline in self.pipelines:
            for environment in pipeline.now:
                addresses = self._addresses(pipeline, environment)
                if addresses:
                    labels = {"application": pipeline.facts.name, "environment": environment}
                    found.append({"targets": addresses, "labels": {"service": "serve", **labels}})
        return found

    def _added(self) -> dict[str, str]:
        """Services that were added to the platform, perhaps since this process began."""
        path = self.settings.targets_file
        if path is None:
            return {}
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise Unavailable(f"the list of services cannot be read: {error}", value=str(path)) from error
        if not isinstance(found, dict):
            raise Unavailable("the list of services is none", value=str(path))
        return {str(name): str(target) for name, target in found.items()}

    def _addresses(self, pipeline: Pipeline, environment: str) -> list[str]:
        if not self.settings.pods:
            url = self._url(pipeline, environment)
            return [url.partition("://")[2].rstrip("/")] if url else []
        host, _, port = self._filled(self.settings.pods, pipeline, environment).rpartition(":")
        try:
            entries = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            return []
        return sorted({f"{entry[4][0]}:{port}" for entry in entries})

    def _url(self, pipeline: Pipeline, environment: str) -> str:
        if environment not in pipeline.facts.ports and "{port}" in self.settings.environment_url:
            return ""
        return self._filled(self.settings.environment_url, pipeline, environment)

    @staticmethod
    def _filled(text: str, pipeline: Pipeline, environment: str) -> str:
        facts = pipeline.facts
        return text.format(
            application=facts.name, environment=environment, port=facts.ports.get(environment, "")
        )

    def _ask(self) -> dict[tuple[str, str], bool]:
        places = {
            (pipeline.facts.name, environment): (self._url(pipeline, environment), now.image_digest)
            for pipeline in self.pipelines
            for environment, now in pipeline.now.items()
        }

        def runs(url: str, digest: str) -> bool:
            try:
                return fetch_running(url, timeout_seconds=_ASK_SECONDS).image_digest == digest
            except RookeryError:
                return False

        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            answers = list(pool.map(lambda asked: runs(*asked), places.values()))
        return dict(zip(places, answers, strict=True))

    def _reading(self, source: str) -> _Reading:
        return _Reading(self, source)

    def _run(self) -> None:
        for _ in self._ticks():
            try:
                self.look()
            except Exception:
                _log.exception("the pipeline could not be read")

    def _ticks(self) -> Iterator[None]:
        while True:
            yield
            if self._ended.wait(self.settings.read_seconds):
                return


def _is_known(target: str) -> bool:
    """Whether there is such a host; a cluster has no Service of what its site does without."""
    try:
        socket.getaddrinfo(target.rpartition(":")[0], None, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.errno not in (socket.EAI_NONAME, socket.EAI_NODATA)
    return True


class _Reading:
    """Writes down whether a source could be read; a source that is away is no fault of the others."""

    def __init__(self, reader: Reader, source: str) -> None:
        self._reader, self._source = reader, source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if error is not None and not isinstance(error, RookeryError):
            self._reader.up[self._source] = False
            return False
        if error is not None and self._reader.up[self._source]:
            _log.warning("%s", error)
        self._reader.up[self._source] = error is None
        if error is None:
            self._reader.read[self._source] = time.time()
        return True
