"""The gate's policies as the tip of the GitOps remote has them, laid out for the evaluate service."""

from __future__ import annotations

import shutil

from workflows.local.settings import PlatformSettings
from workflows.release.application import APPS, list_applications
from workflows.release.git import Git
from workflows.release.tree import Tree


def write_policies(settings: PlatformSettings, tip: str) -> None:
    """Brings <home>/policies/<application>/policy.yaml to the commit; removes what it no longer has."""
    tree = Tree(Git(settings.gitops), tip)
    folder = settings.home / "policies"
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: tree.read(f"{APPS}/{name}/policy.yaml") for name in list_applications(tree)}
    for name, data in found.items():
        path = folder / name / "policy.yaml"
        if data is not None and (not path.exists() or path.read_bytes() != data):
            path.parent.mkdir(exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.replace(path)
    for path in folder.iterdir():
        if found.get(path.name) is None:
            shutil.rmtree(path)
