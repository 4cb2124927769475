"""New applications, committed to the GitOps remote of this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from services.common.errors import Conflict
from workflows.local import platform
from workflows.local.placement import environment_ports
from workflows.local.ports import free_ports
from workflows.local.remote import ensure_remote, open_remote
from workflows.local.settings import PlatformSettings
from workflows.release.application import APPS, ApplicationFacts, create_application
from workflows.release.gitops import Message
from workflows.release.names import ENVIRONMENTS, check_name
from workflows.release.tree import Tree

Kind = Literal["image", "audio"]
_SMALL: dict[Kind, str] = {"image": "cnn", "audio": "mel-cnn"}


def create_here(
    settings: PlatformSettings, name: str, title: str, kind: Kind | None, data_source: str, model_name: str
) -> tuple[str, ApplicationFacts]:
    """Commits the folder of a new application, on ports that nobody has; returns the commit and the facts.

    Args:
        kind: what the data are; None looks at them.
        model_name: the family to train; empty for the small one of the kind.

    Raises:
        Conflict: there is an application of this name.
        DatasetError, NotFound, InvalidInput: the data cannot be read, or the name is none.
    """
    check_name(name)
    settings.home.mkdir(parents=True, exist_ok=True)
    ensure_remote(settings)
    source = (
        data_source
        if "://" in data_source or not Path(data_source).exists()
        else str(Path(data_source).absolute())
    )
    taken = {port for port in environment_ports(settings).values() if port} | set(
        platform.known_ports(settings).values()
    )
    kind = kind or kind_of(settings, source)
    facts = ApplicationFacts(
        name=name,
        title=title,
        kind=kind,
        data_source=source,
        model_name=model_name or _SMALL[kind],
        ports=dict(zip(ENVIRONMENTS, free_ports(len(ENVIRONMENTS), taken), strict=True)),
    )

    def change(tree: Tree) -> Message:
        if tree.read(f"{APPS}/{name}/application.yaml") is not None:
            raise Conflict("there is an application of this name already", value=name)
        with tempfile.TemporaryDirectory() as folder:
            for path in create_application(Path(folder), facts):
                tree.write(path.as_posix(), (Path(folder) / path).read_bytes())
        return Message(f"Add the application {name}", {"Application": name, "Action": "create"})

    return open_remote(settings).commit(change).revision, facts


def kind_of(settings: PlatformSettings, source: str) -> Kind:
    """Whether a data source holds pictures or sounds."""
    from services.data.source import load_dataset

    dataset = load_dataset(source, store=None, roots=None, cache=settings.home / "data")
    return "audio" if dataset.kind == "audio" else "image"
