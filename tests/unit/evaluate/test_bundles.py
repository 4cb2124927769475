"""A bundle as MLflow gives it: whole, altered for good, or other bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.bundle.reader import bundle_digest
from services.common.errors import IntegrityError, InvalidInput, NotFound, Unavailable
from services.evaluate.bundles import check_application, fetch_bundle
from tests.support.bundles import tiny_image_bundle


class Store:
    """Stands in for MLflow's artifacts, since a real one does not change its bytes between two questions."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.wrong: list[bytes] = []
        self.asked: list[str] = []

    def download(self, run: object, path: str, *, max_bytes: int) -> bytes:
        name = path.removeprefix("bundle/")
        self.asked.append(name)
        if name not in self.files:
            raise NotFound("the run has no such artifact", value=path)
        if name == "model.onnx" and self.wrong:
            return self.wrong.pop(0)
        return self.files[name]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_image_bundle(tmp_path, run_id="7" * 32)


def run(digest: str | None, application: str = "digits") -> dict[str, Any]:
    tags = {"rookery.application": application} | ({"rookery.bundle_digest": digest} if digest else {})
    return {
        "info": {"run_id": "7" * 32},
        "data": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }


def test_a_whole_bundle_is_asked_for_once(bundle: Path, tmp_path: Path) -> None:
    store = Store(bundle)
    found = fetch_bundle(store, run(bundle_digest(bundle)), tmp_path / "here")  # type: ignore[arg-type]
    assert found.digest == bundle_digest(bundle)
    assert len(store.asked) == 4


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ([b"a"], None, ""),
        ([b"a", b"a"], IntegrityError, "the bundle was altered"),
        ([b"a", b"b"], Unavailable, "other bytes each time"),
    ],
)
def test_wrong_bytes_are_asked_for_again_before_they_are_held_against_the_model(
    bundle: Path, tmp_path: Path, wrong: list[bytes], kind: type[Exception] | None, message: str
) -> None:
    store = Store(bundle)
    store.wrong = wrong
    if kind is None:
        fetch_bundle(store, run(bundle_digest(bundle)), tmp_path / "here")  # type: ignore[arg-type]
        return
    with pytest.raises(kind, match=message) as error:
        fetch_bundle(store, run(bundle_digest(bundle)), tmp_path / "here")  # type: ignore[arg-type]
    assert str(tmp_path) not in str(error.value)


def test_a_missing_file_is_the_stores_fault_and_a_missing_digest_the_runs(
    bundle: Path, tmp_path: Path
) -> None:
    store = Store(bundle)
    del store.files["golden.npz"]
    with pytest.raises(Unavailable, match=r"bundle/golden\.npz"):
        fetch_bundle(store, run(bundle_digest(bundle)), tmp_path / "here")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="recorded no bundle"):
        fetch_bundle(store, run(None), tmp_path / "here")  # type: ignore[arg-type]


def test_a_bundle_of_another_application_is_refused(bundle: Path, tmp_path: Path) -> None:
    digest = bundle_digest(bundle)
    found = fetch_bundle(Store(bundle), run(digest), tmp_path / "here")  # type: ignore[arg-type]
    assert check_application(found, run(digest)) == "digits"
    with pytest.raises(InvalidInput, match="another application or run"):
        check_application(found, run(digest, "birds"))
