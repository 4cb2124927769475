"""Where a command works: on this machine, or on a cluster. Both answer alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from services.common.errors import InvalidInput, NotFound
from workflows.commands.options import Chosen, settings
from workflows.commands.templates import RENDERED, template_names
from workflows.local.settings import PlatformSettings

if TYPE_CHECKING:
    from workflows.cluster.site import Site
    from workflows.local.nodes import Node
    from workflows.local.runs import LogLine, Run


class Workplace(Protocol):
    """Workflows, wherever they run.

    Attributes:
        option: what a command needs to come here again, with a space before it.
        poll_seconds: how often it may be asked.
    """

    option: str
    poll_seconds: float

    def submit_template(self, name: str, parameters: Mapping[str, str]) -> str:
        """Begin a workflow of a template; its name."""

    def submit_file(self, file: Path, parameters: Mapping[str, str], host_images: Sequence[str]) -> str:
        """Begin the workflow of a file; its name."""

    def takes_requester(self, name: str) -> bool:
        """Whether a template has the parameter `requested-by`."""

    def get(self, name: str) -> Run:
        """A workflow as it stands."""

    def recent(self, limit: int) -> list[Run]:
        """The newest first."""

    def logs(self, name: str, node: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """What the steps wrote."""

    def last_line(self, run: Run, node: Node) -> str:
        """What a running step wrote last."""

    def reason(self, run: Run) -> str:
        """Why it did not succeed, else its message."""

    def resume(self, name: str) -> None:
        """Go on with it."""

    def cancel(self, name: str) -> None:
        """Stop it."""

    def approve(self, name: str, node: str | None, *, by: str) -> None:
        """Let a step go on that waits for somebody."""


class Here:
    """The local engine."""

    option = ""
    poll_seconds = 0.2

    def __init__(self, chosen: PlatformSettings) -> None:
        self._settings = chosen
        self._home = chosen.home

    def submit_template(self, name: str, parameters: Mapping[str, str]) -> str:
        """Begin a workflow of one of our templates; its name."""
        from workflows.local import control
        from workflows.local.models import nearest
        from workflows.local.platform import require_up
        from workflows.local.templates import TemplateStore

        names = template_names()
        if name not in names:
            hint = nearest(name, names)
            allowed = f"{', '.join(names)}{f' ({hint})' if hint else ''}"
            raise NotFound("there is no such workflow template", value=name, allowed=allowed)
        require_up(self._settings)
        return control.submit(name, dict(parameters), home=self._home, templates=TemplateStore(RENDERED))

    def submit_file(self, file: Path, parameters: Mapping[str, str], host_images: Sequence[str]) -> str:
        """Begin the workflow of a file; its name."""
        from workflows.local import control
        from workflows.local.templates import TemplateStore

        store = TemplateStore(RENDERED)
        return control.submit(
            file, dict(parameters), home=self._home, templates=store, host_images=list(host_images)
        )

    def takes_requester(self, name: str) -> bool:
        """Whether a template has the parameter `requested-by`."""
        path = RENDERED / f"{name}.yaml"
        return name in template_names() and "name: requested-by" in path.read_text()

    def get(self, name: str) -> Run:
        """A workflow as it stands."""
        from workflows.local.runs import get_run

        return get_run(self._home, name)

    def recent(self, limit: int) -> list[Run]:
        """The newest first."""
        from workflows.local.runs import list_runs

        return list_runs(self._home)[:limit]

    def logs(self, name: str, node: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """What the steps wrote."""
        from workflows.local.runs import logs

        return logs(self._home, name, node=node, follow=follow)

    def last_line(self, run: Run, node: Node) -> str:
        """What a running step wrote last."""
        from workflows.local.runs import run_folder

        try:
            with (run_folder(self._home, run.name).step(node) / "main.log").open("rb") as log:
                log.seek(max(0, log.seek(0, 2) - 2048))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def reason(self, run: Run) -> str:
        """Why it did not succeed, else its message."""
        from workflows.local.runs import reason

        return reason(self._home, run)

    def resume(self, name: str) -> None:
        """Go on with a workflow whose engine is gone."""
        from workflows.local import control

        control.resume(self._home, name)

    def cancel(self, name: str) -> None:
        """Stop it."""
        from workflows.local import control

        control.cancel(self._home, name)

    def approve(self, name: str, node: str | None, *, by: str) -> None:
        """Let a step go on that waits for somebody."""
        from workflows.local import control

        control.approve(self._home, name, node, by=by)


class There:
    """Argo Workflows on a cluster."""

    poll_seconds = 0.7

    def __init__(self, site: Site, option: str) -> None:
        from workflows.cluster.workflows import ClusterWorkflows

        self.site = site
        self.option = option
        self._workflows = ClusterWorkflows(site.kube, site.namespace)
        self.submit_template = self._workflows.submit_template
        self.get = self._workflows.get
        self.recent = self._workflows.recent
        self.logs = self._workflows.logs
        self.last_line = self._workflows.last_line
        self.reason = self._workflows.reason
        self.resume = self._workflows.resume
        self.cancel = self._workflows.cancel
        self.approve = self._workflows.approve

    def submit_file(self, file: Path, parameters: Mapping[str, str], host_images: Sequence[str]) -> str:
        """Begin the workflow of a file; its name."""
        if host_images:
            raise InvalidInput(
                "--host-image is for this machine; a cluster runs every image", value=host_images
            )
        return self._workflows.submit_file(file, parameters)

    def takes_requester(self, name: str) -> bool:
        """Whether a template has the parameter `requested-by`."""
        from workflows.cluster.workflows import declared_parameters

        declared = declared_parameters(self._workflows.template(name))
        return any(parameter.name == "requested-by" for parameter in declared)


@contextmanager
def workplace(cluster: bool, context: str | None) -> Iterator[Workplace]:
    """The cluster when one is asked for, else this machine."""
    if not (cluster or context):
        yield Here(settings())
        return
    with cluster_site(context) as site:
        yield There(site, f" --context {context}" if context else " --cluster")


@contextmanager
def cluster_site(context: str | None) -> Iterator[Site]:
    """The platform on the cluster of a context."""
    from workflows.cluster.site import open_site

    with open_site(Chosen.kubeconfig, context) as site:
        yield site
