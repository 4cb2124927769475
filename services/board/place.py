"""What the board shows and does, on this machine or on a cluster: by the same code as the command line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from services.board.recent import RecentRuns
from services.board.settings import BoardSettings
from services.common.errors import RookeryError
from workflows.cluster.api import Kubernetes
from workflows.cluster.environments import environment_statuses as statuses_there
from workflows.cluster.environments import verify_there
from workflows.cluster.kubeconfig import Access, account_access, load_access
from workflows.cluster.site import Site
from workflows.cluster.workflows import declared_parameters
from workflows.commands.templates import RENDERED
from workflows.commands.workplace import Here, There, Workplace
from workflows.local.desired import read_tip
from workflows.local.models import Parameter
from workflows.local.platform import known_addresses, require_made
from workflows.local.runs import Run
from workflows.local.settings import PlatformSettings
from workflows.local.status import EnvironmentStatus, Explain, environment_statuses
from workflows.local.templates import TemplateStore
from workflows.local.verification import Verdict, verify_here
from workflows.release.application import ApplicationFacts
from workflows.release.git import Git
from workflows.release.history import why
from workflows.release.tree import Tree

_PATIENCE_SECONDS = 3.0


class Place(Protocol):
    """Where the platform is.

    Attributes:
        title: for people.
        work: what the commands on workflows call.
        explain: `why`, which remembers what it said of a commit.
    """

    title: str
    work: Workplace
    explain: Explain

    def tree(self) -> Tree:
        """The files at the tip of the repository that the environments follow."""

    def environments(self) -> list[EnvironmentStatus]:
        """Every environment of every application."""

    def runs(self, limit: int) -> list[Run]:
        """The newest workflows first."""

    def server(self, facts: ApplicationFacts, environment: str) -> str:
        """Address of what serves an environment, for this process; empty when there is none."""

    def parameters(self, template: str) -> list[Parameter]:
        """What a template declares."""

    def verify(self, application: str, environment: str) -> Verdict:
        """`rookery verify`."""

    def mlflow(self, given: str) -> str:
        """Address of MLflow for this process; `given` is what the settings say."""

    def parts(self) -> dict[str, str]:
        """Name → address of the services that are known to run there now; others are known by the settings alone."""

    def check(self) -> None:
        """Pass when there is a platform."""

    def close(self) -> None:
        """Let go of connections."""


class LocalPlace:
    """This machine."""

    title = "this machine"

    def __init__(self, platform: PlatformSettings) -> None:
        self._platform = platform
        self._recent = RecentRuns(platform.home)
        self.work: Workplace = Here(platform)
        self.explain: Explain = _remembering()

    def tree(self) -> Tree:
        """The files at the tip of the repository that the environments follow."""
        require_made(self._platform)
        return Tree(Git(self._platform.gitops), read_tip(self._platform.gitops))

    def environments(self) -> list[EnvironmentStatus]:
        """Every environment of every application."""
        return environment_statuses(self._platform, explain=self.explain)

    def runs(self, limit: int) -> list[Run]:
        """The newest workflows first."""
        return self._recent.newest(limit)

    def server(self, facts: ApplicationFacts, environment: str) -> str:
        """Address of what serves an environment; empty when it has no port."""
        port = facts.ports.get(environment)
        return f"http://127.0.0.1:{port}" if port else ""

    def parameters(self, template: str) -> list[Parameter]:
        """What a template declares."""
        return TemplateStore(RENDERED).get(template).spec.arguments.parameters

    def verify(self, application: str, environment: str) -> Verdict:
        """`rookery verify`."""
        return verify_here(self._platform, application, environment)

    def mlflow(self, given: str) -> str:
        """Address of MLflow."""
        return given

    def parts(self) -> dict[str, str]:
        """What `rookery up` started last; parts may be added while the board runs."""
        return known_addresses(self._platform)

    def check(self) -> None:
        """Pass when `rookery up` made a platform here."""
        require_made(self._platform)

    def close(self) -> None:
        """Nothing is held."""


class ClusterPlace:
    """A cluster: that of a context of the kubeconfig, or the one that the board is a pod of."""

    def __init__(self, access: Access, cache: Path) -> None:
        self._site = Site(Kubernetes(access, patience_seconds=_PATIENCE_SECONDS), cache)
        self._lock = threading.Lock()
        self.title = "this cluster" if access.inside else f"the cluster {access.context}"
        self.work: Workplace = There(self._site, " --cluster")
        self.explain: Explain = _remembering()

    def tree(self) -> Tree:
        """The files at the tip of the repository that the environments follow."""
        with self._lock:
            return self._site.tree()

    def environments(self) -> list[EnvironmentStatus]:
        """Every environment of every application."""
        with self._lock:
            return statuses_there(self._site, explain=self.explain)

    def runs(self, limit: int) -> list[Run]:
        """The newest workflows first."""
        return self.work.recent(limit)

    def server(self, facts: ApplicationFacts, environment: str) -> str:
        """Address of what serves an environment, forwarded; empty when nothing is ready behind it."""
        try:
            return self._site.environment(facts, environment)
        except RookeryError:
            return ""

    def parameters(self, template: str) -> list[Parameter]:
        """What a template of the cluster declares."""
        return declared_parameters(self._site.kube.get(self._path(template)))

    def verify(self, application: str, environment: str) -> Verdict:
        """`rookery verify --cluster`."""
        with self._lock:
            return verify_there(self._site, application, environment)

    def mlflow(self, given: str) -> str:
        """Address of MLflow: the given one, else that of the cluster, forwarded."""
        return given or self._site.reach(self._site.settings.mlflow_url)

    def parts(self) -> dict[str, str]:
        """None: a service of a cluster is reached by an address of the settings."""
        return {}

    def check(self) -> None:
        """Pass when the platform is installed there."""
        assert self._site.settings

    def close(self) -> None:
        """Ends what was forwarded."""
        self._site.close()

    def _path(self, template: str) -> str:
        group = f"/apis/argoproj.io/v1alpha1/namespaces/{self._site.namespace}"
        return f"{group}/workflowtemplates/{template}"


@contextmanager
def open_place(settings: BoardSettings, platform: PlatformSettings) -> Iterator[Place]:
    """The place that the settings name.

    Raises:
        NotFound, InvalidInput: no such context of the kubeconfig.
        Unavailable: the pod has no account of the cluster.
    """
    place: Place = (
        ClusterPlace(_access(settings), settings.state_dir / "sites")
        if settings.cluster
        else LocalPlace(platform)
    )
    try:
        yield place
    finally:
        place.close()


def check_place(settings: BoardSettings) -> None:
    """Pass when the place that the settings name can be known from here.

    Raises:
        NotFound, InvalidInput: no such kubeconfig, or no such context in it.
        Unavailable: the pod has no account of the cluster.
    """
    if settings.cluster:
        _access(settings)


def _access(settings: BoardSettings) -> Access:
    if settings.kubernetes_url:
        return account_access(settings.kubernetes_url)
    return load_access(settings.kubeconfig, settings.context or None)


def _remembering() -> Explain:
    return lru_cache(maxsize=256)(why)
