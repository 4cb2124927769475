"""Where train-model runs. A workflow has the name that its decision gave it, so submitting twice makes one workflow."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from services.arbiter.decide import CANCELLED, FAILED, REFUSED, RUNNING, SUCCEEDED
from services.arbiter.settings import ArbiterSettings
from services.common.errors import Conflict
from workflows.local.runs import Run, failed_step, was_refused

if TYPE_CHECKING:
    from workflows.cluster.workflows import ClusterWorkflows

TEMPLATE = "train-model"
_EVALUATION = "evaluate"
_log = logging.getLogger(__name__)


class Engine(Protocol):
    """What the arbiter needs of an engine."""

    def submit(self, name: str, parameters: Mapping[str, str]) -> None:
        """Begin the workflow of that name, unless there is one."""

    def state(self, name: str) -> tuple[str, str]:
        """Outcome and message; NotFound when there is no such workflow."""

    def resume(self, name: str) -> None:
        """Go on with one that nobody works on."""


class LocalEngine:
    """The engine of one machine.

    Args:
        home: the platform's state folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def submit(self, name: str, parameters: Mapping[str, str]) -> None:
        from workflows.local import control
        from workflows.local.templates import TemplateStore
        from workflows.render import RENDERED

        try:
            control.submit(
                TEMPLATE, dict(parameters), home=self._home, templates=TemplateStore(RENDERED), name=name
            )
        except Conflict:
            # It was made before; its engine may never have been started.
            self.resume(name)

    def state(self, name: str) -> tuple[str, str]:
        from workflows.local.runs import get_run, reason

        run = get_run(self._home, name)
        return outcome_of(run), reason(self._home, run)

    def resume(self, name: str) -> None:
        from workflows.local import control
        from workflows.local.runs import get_run

        run = get_run(self._home, name)
        if not run.done and run.engine is None:
            _log.info("%s is resumed", name)
            try:
                control.resume(self._home, name)
            except Conflict:
                return


class ClusterEngine:
    """Argo Workflows, by the Kubernetes API and the token of the pod's service account."""

    def __init__(self, url: str, namespace: str, account: Path | None = None) -> None:
        self._account, self._url, self._namespace = account, url, namespace

    def submit(self, name: str, parameters: Mapping[str, str]) -> None:
        with self._workflows() as workflows:
            try:
                workflows.submit_template(TEMPLATE, parameters, called=name)
            except Conflict:
                return

    def state(self, name: str) -> tuple[str, str]:
        with self._workflows() as workflows:
            run = workflows.get(name)
            return outcome_of(run), workflows.reason(run)

    def resume(self, name: str) -> None:
        """Argo's controller goes on by itself."""

    @contextmanager
    def _workflows(self) -> Iterator[ClusterWorkflows]:
        from workflows.cluster.api import Kubernetes
        from workflows.cluster.kubeconfig import ACCOUNT, account_access
        from workflows.cluster.workflows import ClusterWorkflows

        kube = Kubernetes(account_access(self._url, self._account or ACCOUNT), patience_seconds=0)
        try:
            yield ClusterWorkflows(kube, self._namespace)
        finally:
            kube.close()


def open_engine(settings: ArbiterSettings) -> Engine:
    """The engine that the settings name."""
    if settings.engine == "local":
        return LocalEngine(settings.home.absolute())
    return ClusterEngine(settings.kubernetes_url, settings.namespace)


def outcome_of(run: Run) -> str:
    """How a workflow ended: a gate's no is a result, and so is somebody's; anything else is a failure."""
    if not run.done:
        return RUNNING
    if run.phase == "Succeeded":
        return SUCCEEDED
    if run.cancelled:
        return CANCELLED
    step = failed_step(run)
    judged = step is not None and step.display_name.startswith(_EVALUATION)
    return REFUSED if judged and was_refused(run) else FAILED
