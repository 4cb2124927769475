"""The same bundle is the same image, written whole, and refused when a byte of it was altered."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.bundle.reader import bundle_digest
from services.common.errors import IntegrityError, InvalidInput, NotFound
from tests.support.bundles import tiny_image_bundle
from tests.support.release import digest, write_bundle_files
from workflows.release.base import ServingBase
from workflows.release.image import BUNDLE_DIGEST, BUNDLE_FILES, ImageStore

LABELS = {"io.rookery.model-version": "1"}


@pytest.fixture
def base(tmp_path: Path) -> ServingBase:
    code = tmp_path / "app.py"
    code.write_text("print('hello')\n")
    return ServingBase(files={"app/app.py": code}, config={"User": "1"}, labels={"base": "x"})


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle_files(tmp_path / "bundle")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.tuples(*[st.binary(max_size=500)] * 4),
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
)
def test_the_digest_follows_from_content_alone(
    tmp_path_factory: pytest.TempPathFactory,
    base: ServingBase,
    files: tuple[bytes, ...],
    labels: dict[str, str],
) -> None:
    made = set()
    for _ in range(2):
        folder = tmp_path_factory.mktemp("once")
        bundle = write_bundle_files(folder / "b", **dict(zip(BUNDLE_FILES, files, strict=True)))
        store = ImageStore(folder / "images")
        image = store.build(base, bundle, dict(reversed(labels.items())))
        assert store.check(image)[BUNDLE_DIGEST] == bundle_digest(bundle)
        made.add(image)
    assert len(made) == 1


def test_building_again_changes_nothing(store: ImageStore, base: ServingBase, bundle: Path) -> None:
    first = store.build(base, bundle, LABELS, tag="digits-1")
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    assert store.build(base, bundle, LABELS, tag="digits-1") == first
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_every_byte_of_the_bundle_counts(
    store: ImageStore, base: ServingBase, bundle: Path, name: str
) -> None:
    first = store.build(base, bundle, LABELS)
    (bundle / name).write_bytes(b"other")
    assert store.build(base, bundle, LABELS) != first
    assert len(store.images()) == 2


def test_a_bundle_altered_on_disk_is_refused(store: ImageStore, base: ServingBase, bundle: Path) -> None:
    promised = bundle_digest(bundle)
    store.build(base, bundle, LABELS, expected_bundle_digest=promised)
    (bundle / "model.onnx").write_bytes(b"mOdel")
    with pytest.raises(IntegrityError, match="not the one promised"):
        store.build(base, bundle, LABELS, expected_bundle_digest=promised)
    assert len(store.images()) == 1


def test_the_layout_is_one_that_others_read(store: ImageStore, base: ServingBase, bundle: Path) -> None:
    image = store.build(base, bundle, LABELS, tag="digits-1")
    assert json.loads((store.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.root / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == image
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "digits-1"}
    manifest = store.manifest(image)
    assert [layer["mediaType"] for layer in manifest["layers"]] == [
        "application/vnd.oci.image.layer.v1.tar"
    ] * 2
    config = store.config(image)
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert config["config"]["Labels"]["base"] == "x"


def test_a_tag_moves_to_the_newer_image(store: ImageStore, base: ServingBase, bundle: Path) -> None:
    store.build(base, bundle, LABELS, tag="latest")
    second = store.build(base, bundle, {"other": "x"}, tag="latest")
    tagged = [entry["digest"] for entry in store.images() if "annotations" in entry]
    assert tagged == [second]


def test_any_altered_or_lost_blob_is_refused_by_check_and_unpack(
    store: ImageStore, base: ServingBase, bundle: Path, tmp_path: Path
) -> None:
    image = store.build(base, bundle, LABELS)
    for blob in sorted((store.root / "blobs" / "sha256").iterdir()):
        data = blob.read_bytes()
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(IntegrityError):
            store.check(image)
        with pytest.raises(IntegrityError):
            store.unpack(image, tmp_path / "run")
        blob.unlink()
        with pytest.raises(NotFound):
            store.unpack(image, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        blob.write_bytes(data)
    assert store.unpack(image, tmp_path / "run").is_dir()


def test_unpacking_gives_code_and_bundle_back(
    store: ImageStore, base: ServingBase, bundle: Path, tmp_path: Path
) -> None:
    image = store.build(base, bundle, LABELS)
    folder = store.unpack(image, tmp_path / "run" / "rootfs")
    assert bundle_digest(folder / "bundle") == bundle_digest(bundle)
    assert (folder / "app" / "app.py").read_text() == "print('hello')\n"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["rootfs"]


def test_an_altered_folder_is_replaced_and_an_equal_one_stays(
    store: ImageStore, base: ServingBase, bundle: Path, tmp_path: Path
) -> None:
    image = store.build(base, bundle, LABELS)
    folder = store.unpack(image, tmp_path / "run")
    inode = folder.stat().st_ino
    assert store.unpack(image, folder).stat().st_ino == inode
    (folder / "bundle" / "model.onnx").write_bytes(b"poison")
    (folder / "extra").write_bytes(b"x")
    store.unpack(image, folder)
    assert (folder / "bundle" / "model.onnx").read_bytes() == b"model"
    assert not (folder / "extra").exists()


def test_a_folder_that_is_no_bundle_is_refused(store: ImageStore, base: ServingBase, bundle: Path) -> None:
    (bundle / "golden.npz").unlink()
    with pytest.raises(NotFound, match="lacks a file"):
        store.build(base, bundle, LABELS)
    (bundle / "golden.npz").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="plain files"):
        store.build(base, bundle, LABELS)
    assert store.images() == []


def test_an_unknown_image_and_no_image_are_told_apart(
    store: ImageStore, base: ServingBase, bundle: Path
) -> None:
    with pytest.raises(NotFound, match="no such image"):
        store.manifest(digest("x"))
    with pytest.raises(InvalidInput):
        store.manifest("latest")
    image = store.build(base, bundle, LABELS)
    with pytest.raises(IntegrityError, match="no image manifest"):
        store.manifest(store.manifest(image)["config"]["digest"])


def test_the_bundle_of_an_image_is_read_and_made_anew_when_its_copy_was_altered(
    store: ImageStore, base: ServingBase, tmp_path: Path
) -> None:
    bundle = tiny_image_bundle(tmp_path / "real")
    image = store.build(base, bundle, LABELS)
    promised = bundle_digest(bundle)
    cache = tmp_path / "cache"
    found = store.bundle(image, promised, cache)
    assert found.digest == promised
    (found.folder / "model.onnx").write_bytes(b"poison")
    assert store.bundle(image, promised, cache).digest == promised
    with pytest.raises(IntegrityError):
        store.bundle(image, digest("another"), cache)


def _build(root: Path, bundle: Path, number: int) -> None:
    base = ServingBase(files={}, config={}, labels={})
    ImageStore(root).build(base, bundle, {"n": str(number)}, tag=f"t{number}")


def test_images_built_at_once_are_all_listed(store: ImageStore, bundle: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    workers = [fork.Process(target=_build, args=(store.root, bundle, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(store.images()) == 4
    assert {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in store.images()} == {
        "t0", "t1", "t2", "t3",
    }  # fmt: skip
