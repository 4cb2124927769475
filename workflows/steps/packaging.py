"""From a registered version to a container image."""

import fcntl
import shutil
from pathlib import Path
from typing import Annotated

from services.bundle.reader import read_bundle
from services.common.digest import short
from services.common.errors import IntegrityError, InvalidInput, NotFound, TooLarge
from services.common.mlflow_rest import MlflowClient
from workflows.release.image import MODEL_VERSION
from workflows.release.images import open_base
from workflows.steps.outcome import Output, say, workflow_step
from workflows.steps.places import images
from workflows.steps.settings import StepSettings, service_url

BUNDLE_FILES = ("bundle.json", "model.onnx", "novelty.onnx", "golden.npz")


@workflow_step
def build_image(
    application: str,
    model_version: str,
    mlflow_ip: str,
) -> Annotated[str, Output("image-digest")]:
    """Download the version's bundle, check its digest against the registry's, and append it to the serving base.

    Raises:
        NotFound: the registry has no such version.
        IntegrityError: the bundle is not the one that was registered.
    """
    return pack(StepSettings(), application, model_version, mlflow_ip)


def pack(settings: StepSettings, application: str, model_version: str, mlflow_ip: str) -> str:
    """The digest of the version's image, which is built and published unless it is there already."""
    url = service_url(mlflow_ip, settings.mlflow_url, 8000)
    with MlflowClient(url, patience_seconds=settings.mlflow_patience_seconds) as mlflow:
        version = mlflow.version(application, model_version)
        promised = version["tags"].get("rookery.bundle_digest")
        if promised is None:
            raise IntegrityError("the version has no bundle digest in the registry", value=model_version)
        folder = download_bundle(mlflow, str(version["run_id"]), promised, settings)
    labels = {
        "org.opencontainers.image.title": f"rookery/{application}",
        "org.opencontainers.image.version": model_version,
        "io.rookery.application": application,
        MODEL_VERSION: model_version,
        "io.rookery.run-id": str(version["run_id"]),
    }
    base = open_base(settings.serving_base, settings.images)
    digest = images(settings).build(application, base, folder, labels, promised=promised)
    say(f"version {model_version} of {application} is image {short(digest)} with bundle {short(promised)}")
    return digest


def download_bundle(mlflow: MlflowClient, run_id: str, promised: str, settings: StepSettings) -> Path:
    """A run's bundle in the cache, verified; what is there already and whole is not loaded again."""
    folder = settings.cache / "bundles" / short(promised)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Another workflow may build the same version at this moment.
    with folder.with_suffix(".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            try:
                return read_bundle(folder, expected_digest=promised).folder
            except (IntegrityError, InvalidInput, NotFound, TooLarge):
                shutil.rmtree(folder)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        run = mlflow.run(run_id)
        for name in BUNDLE_FILES:
            data = mlflow.download(run, f"bundle/{name}", max_bytes=settings.max_bundle_bytes)
            (partial / name).write_bytes(data)
        read_bundle(partial, expected_digest=promised)
        partial.rename(folder)
        return folder
