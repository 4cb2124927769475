"""What an application is trained on without labels, from its facts."""

from __future__ import annotations

from pathlib import Path

import yaml

from services.common.errors import InvalidInput, NotFound
from services.common.names import check_name
from services.data.dataset import Dataset
from services.data.source import load_dataset
from services.data.store import ObjectStoreSettings
from services.labels.publishing import newest_file
from services.monitor.objects import open_objects


def applications(folder: Path) -> list[str]:
    """Names of the applications that there are facts of."""
    found = {path.parent.name for path in folder.glob("*/application.yaml")}
    found |= {
        path.stem for path in folder.glob("*.yaml") if path.stem not in ("kustomization", "application")
    }
    return sorted(found)


def base_source(folder: Path, application: str) -> str:
    """The data source in an application's facts: `<folder>/<application>/application.yaml` or `<application>.yaml`.

    Raises:
        NotFound: there are none.
        InvalidInput: they name no source.
    """
    check_name(application)
    for path in (folder / application / "application.yaml", folder / f"{application}.yaml"):
        if path.is_file():
            try:
                source = yaml.safe_load(path.read_text())["data_source"]
            except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
                raise InvalidInput(
                    f"the facts of the application cannot be read: {error!r}", value=path.name
                ) from error
            if not isinstance(source, str):
                raise InvalidInput("the data source of an application is a text", value=source)
            return source
    allowed = ", ".join(applications(folder)) or "none: ROOKERY_LABELS_APPLICATIONS_DIR has no facts"
    raise NotFound("it is not known what this application is trained on", value=application, allowed=allowed)


def load_base(folder: Path, application: str, place: str, store: ObjectStoreSettings, cache: Path) -> Dataset:
    """The dataset below the labels. Where the facts name the labelled dataset itself, it is that one's base.

    Args:
        place: where the labelled dataset of the application lies.
    """
    source = base_source(folder, application)
    if source.partition("?")[0].rstrip("/") == place:
        newest = newest_file(open_objects(place, store))
        if newest is not None:
            source = newest.base.source
    return load_dataset(source, store=store, roots=None, cache=cache)
