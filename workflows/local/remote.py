"""The GitOps remote of one machine: a bare repository in the state folder that begins as this checkout's commit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from services.common.errors import InvalidInput
from workflows.local.desired import read_tip
from workflows.local.settings import PlatformSettings
from workflows.release.application import APPS, ApplicationFacts, load_application, render_application
from workflows.release.git import Git, GitError
from workflows.release.gitops import GitOps, Message
from workflows.release.tree import Tree

BRANCH = "main"


def ensure_remote(settings: PlatformSettings) -> bool:
    """Makes the bare repository from the checkout's HEAD; returns whether it was made now.

    Raises:
        InvalidInput: the checkout is no git repository, or has no commit yet.
    """
    remote = settings.gitops
    if (remote / "HEAD").exists():
        return False
    head = checkout_head(settings.repository)
    fresh = remote.with_name(".gitops.git.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    git = Git(fresh)
    git.run("init", "--quiet", "--bare", f"--initial-branch={BRANCH}")
    # A checkout of CI is often shallow, and git refuses to receive one unless it is told.
    for key in ("receive.shallowUpdate", "receive.denyDeletes", "receive.denyNonFastForwards"):
        git.run("config", key, "true")
    Git(settings.repository).run("push", "--quiet", "--no-verify", str(fresh), f"{head}:refs/heads/{BRANCH}")
    fresh.rename(remote)
    return True


def checkout_head(repository: Path) -> str:
    """The commit that is checked out.

    Raises:
        InvalidInput: no git repository, or no commit in it.
    """
    help_text = "a clone; or `git init && git add --all && git commit -m Start` in that folder"
    try:
        top = Path(Git(repository).text("rev-parse", "--show-toplevel"))
    except (GitError, OSError) as error:
        said = getattr(error, "message", str(error))
        raise InvalidInput(f"{repository} is no git repository: {said}", allowed=help_text) from error
    if top.resolve() != repository.resolve():
        raise InvalidInput(
            f"{repository} is only a folder inside the git repository {top}", allowed=help_text
        )
    try:
        return Git(repository).text("rev-parse", "--verify", "HEAD^{commit}")
    except GitError as error:
        raise InvalidInput(f"the git repository {repository} has no commit yet", allowed=help_text) from error


def newer_in_checkout(settings: PlatformSettings) -> list[str]:
    """What to do when commits of the checkout change k8s/ and are not in the remote; empty when all is there."""
    head = checkout_head(settings.repository)
    objects = Git(settings.repository).text("rev-parse", "--path-format=absolute", "--git-path", "objects")
    git = Git(settings.gitops)
    both = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
    tip = read_tip(settings.gitops, BRANCH)
    count = int(git.run("rev-list", "--count", head, f"^{tip}", "--", "k8s", environment=both))
    lines = []
    if count:
        base = git.run("merge-base", head, tip, environment=both, check=False).decode().strip()
        lines.append(f"{count} commits of the checkout change k8s/ and are not in the GitOps remote:")
        if base != tip:
            lines.append(f"  git pull --rebase {settings.gitops} {BRANCH}")
        lines.append(f"  git push {settings.gitops} HEAD:{BRANCH}")
    if Git(settings.repository).text("status", "--porcelain", "--", APPS):
        lines.append(f"changes below {APPS} are not committed, so the environments do not have them")
    return lines


def open_remote(settings: PlatformSettings) -> GitOps:
    """The remote, to be read and committed to."""
    return GitOps(str(settings.gitops), settings.home / "cache")


def move_ports(settings: PlatformSettings, moves: Mapping[tuple[str, str], int]) -> None:
    """Commits new ports of environments: application.yaml stays the one place that says them.

    Args:
        moves: (application, environment) → port.
    """

    def change(tree: Tree) -> Message:
        for name in sorted({application for application, _ in moves}):
            facts = load_application(tree, name)
            ports = dict(facts.ports) | {place[1]: port for place, port in moves.items() if place[0] == name}
            tree.write(f"{APPS}/{name}/application.yaml", render_application(with_ports(facts, ports)))
        told = ", ".join(
            f"{app} {environment} to {port}" for (app, environment), port in sorted(moves.items())
        )
        return Message(f"Move ports: {told}", {"Action": "ports"}, (told,))

    if moves:
        open_remote(settings).commit(change)


def with_ports(facts: ApplicationFacts, ports: Mapping[str, int]) -> ApplicationFacts:
    """The same application on other ports."""
    return ApplicationFacts.model_validate(facts.model_dump() | {"ports": dict(ports)})
