"""What the tip of the GitOps remote says that this machine shall run."""

from __future__ import annotations

from pathlib import Path

from services.common.errors import InvalidInput, NotFound, RookeryError
from workflows.local.serving import Release
from workflows.release.application import ApplicationFacts, list_applications, load_application
from workflows.release.component import release_folder
from workflows.release.evidence import released
from workflows.release.git import Git
from workflows.release.tree import Tree

Desired = dict[tuple[str, str], Release | RookeryError | None]


def read_tip(repository: Path, branch: str = "main") -> str:
    """The commit of a branch of a bare repository, read from its files: no process is started.

    Raises:
        NotFound: there is no such repository or branch.
    """
    name = f"refs/heads/{branch}"
    try:
        return (repository / name).read_text().strip()
    except FileNotFoundError:
        pass
    try:
        packed = (repository / "packed-refs").read_text().splitlines()
    except FileNotFoundError:
        packed = []
    for line in packed:
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    raise NotFound(f"the GitOps remote has no branch {branch}", value=str(repository))


def read_desired(repository: Path, tip: str) -> Desired:
    """For each application and environment its release, None for none, or what is wrong with its files."""
    tree = Tree(Git(repository), tip)
    desired: Desired = {}
    for name in list_applications(tree):
        try:
            facts = load_application(tree, name)
        except RookeryError as error:
            desired |= {(name, environment): error for environment in _folders(tree, name)}
            continue
        for environment in facts.environments:
            desired[name, environment] = _read_release(tree, facts, environment)
    return desired


def _folders(tree: Tree, application: str) -> list[str]:
    return [
        environment
        for environment in tree.names(f"k8s/apps/{application}")
        if tree.names(f"k8s/apps/{application}/{environment}/release")
    ]


def _read_release(tree: Tree, facts: ApplicationFacts, environment: str) -> Release | RookeryError | None:
    try:
        found = released(tree, facts.name, environment)
        if found is None:
            return None
        port = facts.ports.get(environment)
        if port is None:
            raise InvalidInput(f"application.yaml of {facts.name} names no port for {environment}")
        folder = release_folder(facts.name, environment)
        commit = tree.git.text("log", "-1", "--format=%H", tree.revision, "--", folder)
    except RookeryError as error:
        return error
    proof = found.evidence
    return Release(
        facts.name,
        environment,
        proof.image_digest,
        proof.bundle_digest,
        proof.model_version,
        port,
        commit,
        facts.ports.get("canary", 0) if environment == "production" else 0,
    )
