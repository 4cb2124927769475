"""New applications, committed to the GitOps remote of this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from services.common.errors import Conflict, InvalidInput
from services.train.families import check_kind, find_family
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
_WORDS: dict[Kind, str] = {"image": "pictures", "audio": "sounds"}
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
        DatasetError, Unavailable: the data cannot be read or trained on.
        InvalidInput: the name is none, or source, kind and family do not fit each other.
    """
    check_name(name)
    settings.home.mkdir(parents=True, exist_ok=True)
    source, kind, model_name = check_training(settings, data_source, kind, model_name)
    ensure_remote(settings)
    taken = {port for port in environment_ports(settings).values() if port} | set(
        platform.known_ports(settings).values()
    )
    facts = ApplicationFacts(
        name=name,
        title=title,
        kind=kind,
        data_source=source,
        model_name=model_name,
        ports=dict(zip(ENVIRONMENTS, free_ports(len(ENVIRONMENTS), taken, settings.port_base), strict=True)),
    )

    def change(tree: Tree) -> Message:
        if tree.read(f"{APPS}/{name}/application.yaml") is not None:
            raise Conflict("there is an application of this name already", value=name)
        with tempfile.TemporaryDirectory() as folder:
            for path in create_application(Path(folder), facts):
                tree.write(path.as_posix(), (Path(folder) / path).read_bytes())
        return Message(f"Add the application {name}", {"Application": name, "Action": "create"})

    return open_remote(settings).commit(change).revision, facts


def check_training(
    settings: PlatformSettings, data_source: str, kind: Kind | None, model_name: str
) -> tuple[str, Kind, str]:
    """The source, kind and family of an application that can be trained, as they are to be committed.

    An object store is not asked: its keys are the services', so only the form of an s3:// source is checked.

    Raises:
        DatasetError, Unavailable: the data cannot be read or trained on.
        InvalidInput: an unknown source or family, or a kind or family that the data are not for.
    """
    from services.data.source import load_dataset
    from services.data.store import Location
    from services.data.trainable import check_trainable

    family = find_family(model_name) if model_name else None
    source = _absolute(data_source)
    if source.startswith("s3://"):
        Location.parse(source.partition("?")[0])
        found = kind or (family.kind if family else None)
        if found is None:
            raise InvalidInput(
                "an object store is not looked into: say what it holds",
                value=source,
                allowed="--kind image, audio",
            )
    else:
        dataset = load_dataset(source, store=None, roots=None, cache=settings.home / "data")
        check_trainable(dataset)
        found = dataset.kind
        if kind and kind != found:
            raise InvalidInput(
                f"{source} holds {_WORDS[found]}, not {_WORDS[kind]}", value=kind, allowed=found
            )
    if family is None:
        return source, found, _SMALL[found]
    check_kind(family, found, source)
    return source, found, family.name


def _absolute(source: str) -> str:
    """A folder by a relative path is meant from here; the services run elsewhere."""
    from services.data.source import SOURCES

    path, mark, options = source.partition("?")
    if "://" in source or path in SOURCES or not Path(path).is_dir():
        return source
    return f"{Path(path).absolute()}{mark}{options}"
