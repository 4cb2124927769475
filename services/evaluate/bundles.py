"""The bundle of a run, fetched from its artifacts and checked against the digest that training recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.bundle.reader import MAX_FILE_BYTES, Bundle, read_bundle
from services.common.errors import IntegrityError, InvalidInput, NotFound
from services.common.mlflow_rest import MlflowClient, tags_of


def fetch_bundle(client: MlflowClient, run: Mapping[str, Any], folder: Path) -> Bundle:
    """Download and read the bundle of a run.

    Raises:
        NotFound: the run recorded no bundle, or a file of it is missing.
        IntegrityError, InvalidInput, TooLarge: the bytes are not what was recorded, or no bundle.
    """
    digest = tags_of(run).get("rookery.bundle_digest")
    if digest is None:
        raise NotFound("the run recorded no bundle", value=run["info"]["run_id"])
    folder.mkdir(parents=True, exist_ok=True)
    for name, bound in MAX_FILE_BYTES.items():
        (folder / name).write_bytes(client.download(run, f"bundle/{name}", max_bytes=bound))
    try:
        return read_bundle(folder, expected_digest=digest)
    except IntegrityError as error:
        # Without the folder of this machine, since the sentence is kept for ever.
        raise IntegrityError(
            "the bundle was altered: its digest is another", value=error.value, allowed=digest
        ) from error


def check_application(bundle: Bundle, run: Mapping[str, Any]) -> str:
    """The application that both the run and its bundle name.

    Raises:
        InvalidInput: they differ, or the run names none.
    """
    named = tags_of(run).get("rookery.application", "")
    if named != bundle.manifest.application or bundle.manifest.run_id != run["info"]["run_id"]:
        raise InvalidInput(
            "the bundle is of another application or run",
            value=(bundle.manifest.application, bundle.manifest.run_id),
            allowed=f"{named}, {run['info']['run_id']}",
        )
    return named
