"""The bundle of a run, fetched from its artifacts and checked against the digest that training recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.bundle.reader import MAX_FILE_BYTES, Bundle, read_bundle
from services.common.errors import IntegrityError, InvalidInput, NotFound, Unavailable
from services.common.mlflow_rest import MlflowClient, tags_of


def fetch_bundle(client: MlflowClient, run: Mapping[str, Any], folder: Path) -> Bundle:
    """Download and read the bundle of a run.

    A finished run has all files of its bundle. So one that is missing, and bytes that are others the second time they
    are asked for, are faults of the store and say nothing about the bundle.

    Raises:
        NotFound: the run recorded no bundle.
        IntegrityError, InvalidInput, TooLarge: the bytes are not what was recorded, twice, or no bundle.
        Unavailable: MLflow does not give the files now.
    """
    digest = tags_of(run).get("rookery.bundle_digest")
    if digest is None:
        raise NotFound("the run recorded no bundle", value=run["info"]["run_id"])
    folder.mkdir(parents=True, exist_ok=True)
    _download(client, run, folder)
    try:
        return read_bundle(folder, expected_digest=digest)
    except IntegrityError as error:
        first = error.value
    _download(client, run, folder)
    try:
        return read_bundle(folder, expected_digest=digest)
    except IntegrityError as error:
        if error.value != first:
            raise Unavailable(
                "MLflow gives other bytes each time for the bundle", value=error.value, allowed=digest
            ) from error
        # Without the folder of this machine, since the sentence is kept for ever.
        raise IntegrityError(
            "the bundle was altered: its digest is another", value=first, allowed=digest
        ) from error


def _download(client: MlflowClient, run: Mapping[str, Any], folder: Path) -> None:
    for name, bound in MAX_FILE_BYTES.items():
        try:
            data = client.download(run, f"bundle/{name}", max_bytes=bound)
        except NotFound as error:
            raise Unavailable(
                "MLflow does not have a file of the bundle that the run recorded", value=f"bundle/{name}"
            ) from error
        (folder / name).write_bytes(data)


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
