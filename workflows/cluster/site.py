"""A cluster with the platform on it: its settings, and every service of it under an address of this machine."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.common.errors import InvalidInput, NotFound
from services.common.mlflow_rest import MlflowClient
from workflows.cluster.api import Forbidden, Kubernetes
from workflows.cluster.forward import Forward
from workflows.cluster.kubeconfig import load_access
from workflows.release.application import ApplicationFacts
from workflows.release.git import Git
from workflows.release.gitops import GitOps
from workflows.release.images import Images, open_images
from workflows.release.settings import GitSettings
from workflows.release.tree import Tree
from workflows.steps.places import environment_url
from workflows.steps.settings import StepSettings

NAMESPACE = "rookery-workflows"
CONFIG_MAP = "rookery"
_GIT_SECRET = "git-release"  # noqa: S105 its name
_PREFIX = "ROOKERY_"
_MLFLOW_SECONDS = 10.0


class Site:
    """One cluster, by the Kubernetes API alone: what runs inside it is reached by forwarded ports.

    Args:
        cache: a folder for copies of git and images; safe to delete.
    """

    def __init__(self, kube: Kubernetes, cache: Path, namespace: str = NAMESPACE) -> None:
        self.kube = kube
        self.namespace = namespace
        self._cache = cache / "".join(c if c.isalnum() else "-" for c in kube.access.server)
        self._forwards: dict[tuple[str, str, int], Forward] = {}
        self._lock = threading.Lock()
        self._settings: StepSettings | None = None

    @property
    def settings(self) -> StepSettings:
        """What the steps are given there, by the ConfigMap `rookery`.

        Raises:
            NotFound: the platform is not installed there.
        """
        if self._settings is None:
            path = f"/api/v1/namespaces/{self.namespace}/configmaps/{CONFIG_MAP}"
            try:
                data = self.kube.get(path).get("data") or {}
            except NotFound as error:
                raise NotFound(
                    f"the platform is not installed on the cluster of context {self.kube.access.context}: "
                    f"namespace {self.namespace} has no ConfigMap {CONFIG_MAP}",
                    allowed="ansible/playbooks/platform.yml",
                ) from error
            known = {
                key.removeprefix(_PREFIX).lower(): value
                for key, value in data.items()
                if key.removeprefix(_PREFIX).lower() in StepSettings.model_fields
            }
            self._settings = StepSettings.read(**known)
        return self._settings

    def reach(self, url: str) -> str:
        """An address of this machine for one inside the cluster; any other as it is, and each from inside.

        Raises:
            NotFound: there is no such Service, or nothing ready behind it.
        """
        if self.kube.access.inside:
            return url
        parts = urlsplit(url if "://" in url else f"http://{url}")
        labels = (parts.hostname or "").split(".")
        if len(labels) < 3 or labels[2] != "svc":
            return url
        if parts.scheme != "http":
            raise InvalidInput("inside the cluster only http is forwarded", value=url)
        place = (labels[1], labels[0], parts.port or 80)
        with self._lock:
            if place not in self._forwards:
                self._forwards[place] = Forward(self.kube, *place)
            return self._forwards[place].url + parts.path

    def git(self) -> GitOps:
        """The repository that the environments follow, read with the user and password that the workflows have."""
        found = GitOps(self.reach(self.settings.git_remote), self._cache, self._git_settings())
        # The forwarded port is another one each time, the repository is the same.
        found.path = self._cache / "gitops.git"
        found.git = Git(found.path, found.settings)
        return found

    def tree(self) -> Tree:
        """The files at the tip."""
        return self.git().tree()

    def images(self) -> Images:
        """The registry."""
        return open_images(self.reach(self.settings.images), self._cache / "images")

    @contextmanager
    def mlflow(self) -> Iterator[MlflowClient]:
        """MLflow."""
        url = self.reach(self.settings.mlflow_url)
        with MlflowClient(url, patience_seconds=_MLFLOW_SECONDS) as client:
            yield client

    def environment(self, facts: ApplicationFacts, environment: str) -> str:
        """The server of an environment."""
        return self.reach(environment_url(self.settings, facts, environment))

    def close(self) -> None:
        """Ends what was forwarded."""
        for forward in self._forwards.values():
            forward.close()
        self._forwards.clear()
        self.kube.close()

    def _git_settings(self) -> GitSettings:
        own = GitSettings()
        if own.username or "ROOKERY_GIT_USERNAME" in os.environ:
            return own
        try:
            secret = self.kube.get(f"/api/v1/namespaces/{self.namespace}/secrets/{_GIT_SECRET}")
        except (NotFound, Forbidden):
            return own
        data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        return own.model_copy(
            update={"username": data.get("username", ""), "password": SecretStr(data.get("password", ""))}
        )


@contextmanager
def open_site(kubeconfig: Path | None, context: str | None) -> Iterator[Site]:
    """The cluster of a context, for the length of one command."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rookery" / "sites"
    site = Site(Kubernetes(load_access(kubeconfig, context)), cache)
    try:
        yield site
    finally:
        site.close()
