"""The options that several commands share, and what they lead to."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.common.errors import InvalidInput, RookeryError
from workflows.local.settings import PlatformSettings, load_settings
from workflows.release.names import ENVIRONMENTS

if TYPE_CHECKING:
    from workflows.release.tree import Tree

DEFAULT_APPLICATION = "digits"


class Chosen:
    """What the options before the command said."""

    home: Path | None = None
    kubeconfig: Path | None = None


def settings() -> PlatformSettings:
    """The settings, with `--home` over them."""
    return load_settings(Chosen.home)


def complete_environment(incomplete: str) -> Iterable[str]:
    """Environments for the shell's completion."""
    return [name for name in ENVIRONMENTS if name.startswith(incomplete)]


def complete_application(incomplete: str) -> Iterable[str]:
    """Applications of the GitOps remote or this checkout."""
    from workflows.release.application import list_applications

    try:
        return [name for name in list_applications(tree_of(None)) if name.startswith(incomplete)]
    except RookeryError:
        return []


def complete_run(incomplete: str) -> Iterable[str]:
    """Names of workflows that ran here, newest first."""
    try:
        folders = sorted(
            (settings().home / "runs").glob(f"{incomplete}*"), key=lambda path: -path.stat().st_mtime
        )
    except (RookeryError, OSError):
        return []
    return [folder.name for folder in folders if folder.is_dir()]


def complete_template(incomplete: str) -> Iterable[str]:
    """Workflow templates."""
    from workflows.commands.templates import template_names

    return [name for name in template_names() if name.startswith(incomplete)]


Application = Annotated[
    str,
    typer.Option(
        "--application",
        "-a",
        envvar="ROOKERY_APPLICATION",
        help="What is recognised: a folder of k8s/apps.",
        autocompletion=complete_application,
    ),
]
Environment = Annotated[
    str, typer.Argument(help="staging, canary or production.", autocompletion=complete_environment)
]
Cluster = Annotated[
    bool,
    typer.Option("--cluster", help="On the Kubernetes cluster of the kubeconfig, not on this machine."),
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="On the cluster of this context of the kubeconfig.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for a script.")]
Repository = Annotated[
    Path | None,
    typer.Option(
        "--repo",
        help="A clone, bare or not. Default: the GitOps remote of this machine, else the current repository.",
        show_default=False,
    ),
]
RunName = Annotated[
    str, typer.Argument(help="Name of a workflow, as `rookery runs` shows it.", autocompletion=complete_run)
]


def repository(given: Path | None) -> Path:
    """Where git history is read from.

    Raises:
        InvalidInput: none was given and there is none here.
    """
    if given is not None:
        return given
    remote = settings().gitops
    if (remote / "HEAD").exists():
        return remote
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
            return folder
    raise InvalidInput("there is no git repository here", value=str(Path.cwd()), allowed="--repo PATH")


def tree_of(given: Path | None) -> Tree:
    """The files at HEAD of the repository that is read."""
    from workflows.release.git import Git
    from workflows.release.tree import Tree

    git = Git(repository(given))
    return Tree(git, git.text("rev-parse", "--verify", "HEAD^{commit}"))


def user() -> str:
    """Who asks, for the evidence."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
