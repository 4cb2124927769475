"""What the tip of the GitOps remote says of the applications, laid out for the services that ask it."""

from __future__ import annotations

import shutil

from workflows.local.settings import PlatformSettings
from workflows.release.application import APPS, list_applications
from workflows.release.git import Git
from workflows.release.tree import Tree

# The gate's policies for the evaluate service, the facts for the labels service.
FILES = {"policies": "policy.yaml", "applications": "application.yaml"}


def write_policies(settings: PlatformSettings, tip: str) -> None:
    """Brings <home>/<folder>/<application>/<file> to the commit; removes what it no longer has."""
    tree = Tree(Git(settings.gitops), tip)
    names = list_applications(tree)
    for kind, file in FILES.items():
        folder = settings.home / kind
        folder.mkdir(parents=True, exist_ok=True)
        found = {name: tree.read(f"{APPS}/{name}/{file}") for name in names}
        for name, data in found.items():
            path = folder / name / file
            if data is not None and (not path.exists() or path.read_bytes() != data):
                path.parent.mkdir(exist_ok=True)
                fresh = path.with_suffix(".new")
                fresh.write_bytes(data)
                fresh.replace(path)
        for path in folder.iterdir():
            if found.get(path.name) is None:
                shutil.rmtree(path)
