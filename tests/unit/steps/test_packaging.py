"""Bundles that are kept between steps: loaded once, and again when what is kept was spoiled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from services.bundle.reader import bundle_digest
from services.common.errors import IntegrityError, NotFound
from services.common.mlflow_rest import MlflowClient
from tests.support.faults import FaultyProxy
from tests.support.judged import FILES, finished_run
from tests.support.servers import Server
from workflows.steps.packaging import download_bundle
from workflows.steps.settings import StepSettings


@pytest.fixture
def proxy(mlflow: Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(mlflow.url) as counting:
        yield counting


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[MlflowClient]:
    with MlflowClient(proxy.url, patience_seconds=20) as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> StepSettings:
    return StepSettings(cache=tmp_path / "cache")


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    return finished_run(client, tmp_path, application=f"packed-{uuid4().hex[:8]}")


def promised(tmp_path: Path) -> str:
    (folder,) = tmp_path.glob("*/digits-bundle")
    return bundle_digest(folder)


def test_a_bundle_is_loaded_once_however_many_ask(
    client: MlflowClient, proxy: FaultyProxy, settings: StepSettings, run_id: str, tmp_path: Path
) -> None:
    before = proxy.requests
    with ThreadPoolExecutor(4) as pool:
        folders = list(
            pool.map(lambda _: download_bundle(client, run_id, promised(tmp_path), settings), range(4))
        )
    assert len(set(folders)) == 1
    assert bundle_digest(folders[0]) == promised(tmp_path)
    assert proxy.requests - before == 1 + len(FILES)


@pytest.mark.parametrize("spoil", ["altered", "missing", "strange", "empty"])
def test_what_was_spoiled_is_loaded_again(
    client: MlflowClient, settings: StepSettings, run_id: str, tmp_path: Path, spoil: str
) -> None:
    folder = download_bundle(client, run_id, promised(tmp_path), settings)
    if spoil == "altered":
        (folder / "model.onnx").write_bytes(b"other")
    elif spoil == "strange":
        (folder / "more").write_text("x")
    else:
        for name in FILES if spoil == "empty" else FILES[:1]:
            (folder / name).unlink()
    # What a step that was killed left half-done.
    folder.with_suffix(".partial").mkdir()
    again = download_bundle(client, run_id, promised(tmp_path), settings)
    assert again == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert bundle_digest(folder) == promised(tmp_path)


def test_other_bytes_than_promised_are_refused_and_not_kept(
    client: MlflowClient, settings: StepSettings, run_id: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(IntegrityError, match="its digest is another"):
            download_bundle(client, run_id, "sha256:" + "1" * 64, settings)
    assert not [path for path in (settings.cache / "bundles").iterdir() if path.name == "1" * 12]


def test_a_run_that_lost_a_file_is_told_by_its_name(
    client: MlflowClient, settings: StepSettings, tmp_path: Path
) -> None:
    bare = client.create_run(client.experiment_id("bare"), "bare", {})
    with pytest.raises(NotFound, match=r"bundle/bundle\.json"):
        download_bundle(client, bare, "sha256:" + "2" * 64, settings)


def test_an_mlflow_that_breaks_off_is_asked_again(
    client: MlflowClient, proxy: FaultyProxy, settings: StepSettings, run_id: str, tmp_path: Path
) -> None:
    proxy.mode, proxy.only, proxy.times = "drop", "model.onnx", 2
    assert bundle_digest(download_bundle(client, run_id, promised(tmp_path), settings)) == promised(tmp_path)
