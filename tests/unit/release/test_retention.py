"""Which images stay, and that nothing of them goes with the others, also while images are built."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as few
from hypothesis import strategies as st

from services.common.errors import IntegrityError, NotFound
from tests.support.gitops import Remote
from tests.support.release import evidence, gitops, make_remote, runs, write_bundle_files
from workflows.release.base import ServingBase
from workflows.release.image import ImageStore
from workflows.release.release import promote, release
from workflows.release.retention import prune_images, released_images
from workflows.release.rollback import rollback

FAR = time.time() + 1e6


@pytest.fixture
def base(tmp_path: Path) -> ServingBase:
    code = tmp_path / "code.py"
    code.write_text("code")
    return ServingBase(files={"app/code.py": code}, config={}, labels={})


def _build(store: ImageStore, base: ServingBase, folder: Path, version: int) -> str:
    bundle = write_bundle_files(folder / f"bundle-{version}", model=b"m" * 1000 + bytes([version]))
    return store.build(base, bundle, {"io.rookery.model-version": str(version)})


def _age(store: ImageStore, seconds: float = 2000.0) -> None:
    for path in (store.root / "blobs" / "sha256").iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def test_what_is_needed_or_young_stays_whole_and_the_rest_goes(tmp_path: Path, base: ServingBase) -> None:
    store = ImageStore(tmp_path / "images")
    old = [_build(store, base, tmp_path, version) for version in (1, 2, 3)]
    _age(store)
    young = _build(store, base, tmp_path, 4)
    young_since = time.time() - 1000
    found = prune_images(store, lambda: {old[1]}, young_since, dry_run=True)
    assert len(store.images()) == 4
    assert prune_images(store, lambda: {old[1]}, young_since) == found
    assert sorted(one.version for one in found) == ["1", "3"]
    assert all(one.size > 1000 for one in found)
    assert {entry["digest"] for entry in store.images()} == {old[1], young}
    for digest in (old[1], young):
        store.check(digest)
    for digest in (old[0], old[2]):
        with pytest.raises(NotFound):
            store.check(digest)
    assert prune_images(store, lambda: {old[1]}, young_since) == []


def test_a_removed_image_is_the_same_when_it_is_packed_again(tmp_path: Path, base: ServingBase) -> None:
    store = ImageStore(tmp_path / "images")
    digest = _build(store, base, tmp_path, 1)
    prune_images(store, set, FAR)
    assert not list((store.root / "blobs" / "sha256").iterdir())
    assert _build(store, base, tmp_path, 1) == digest
    store.check(digest)


@few(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 5)), st.sets(st.integers(0, 40), max_size=12))
def test_a_call_that_was_killed_anywhere_is_finished_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, needed: set[int], lost: set[int]
) -> None:
    """Any part of the blobs that may go may be gone already, listed or not."""
    folder = tmp_path_factory.mktemp("killed")
    code = folder / "code.py"
    code.write_text("code")
    base, store = (
        ServingBase(files={"app/code.py": code}, config={}, labels={}),
        ImageStore(folder / "images"),
    )
    digests = {version: _build(store, base, folder, version) for version in range(1, 6)}
    kept = {digests[version] for version in needed}
    before = {path.name for path in (store.root / "blobs" / "sha256").iterdir()}
    prune_images(store, lambda: kept, FAR, dry_run=True)
    left = ImageStore(folder / "images")
    used = set()
    for digest in kept:
        manifest = left.manifest(digest)
        used |= {digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    going = sorted(name for name in before if f"sha256:{name}" not in used)
    for at in lost:
        if at < len(going):
            (store.root / "blobs" / "sha256" / going[at]).unlink()
    prune_images(left, lambda: kept, FAR)
    assert {f"sha256:{path.name}" for path in (store.root / "blobs" / "sha256").iterdir()} == used
    assert {entry["digest"] for entry in left.images()} == kept
    for digest in kept:
        left.check(digest)


def test_a_digest_that_is_no_image_is_no_hindrance(tmp_path: Path, base: ServingBase) -> None:
    store = ImageStore(tmp_path / "images")
    digest = _build(store, base, tmp_path, 1)
    layer = store.manifest(digest)["layers"][0]["digest"]
    prune_images(store, lambda: {digest, layer, "sha256:" + "0" * 64}, FAR)
    store.check(digest)


def test_nothing_goes_when_an_image_that_stays_cannot_be_read(tmp_path: Path, base: ServingBase) -> None:
    store = ImageStore(tmp_path / "images")
    first, second = (_build(store, base, tmp_path, version) for version in (1, 2))
    store.blobs.path(first).write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="no image was removed"):
        prune_images(store, lambda: {first}, FAR)
    store.check(second)


def test_no_store_is_no_error(tmp_path: Path) -> None:
    assert prune_images(ImageStore(tmp_path / "none"), set, FAR) == []
    assert not (tmp_path / "none").exists()


def test_an_image_that_is_being_built_loses_nothing(tmp_path: Path, base: ServingBase) -> None:
    digest = _build(ImageStore(tmp_path / "first"), base, tmp_path, 1)
    for turn in range(15):
        store, ended = ImageStore(tmp_path / f"images-{turn}"), threading.Event()

        def sweep(store: ImageStore = store, ended: threading.Event = ended) -> None:
            while not ended.is_set():
                prune_images(store, lambda: {digest}, FAR)

        thread = threading.Thread(target=sweep)
        thread.start()
        try:
            assert _build(store, base, tmp_path, 1) == digest
        finally:
            ended.set()
            thread.join()
        store.check(digest)


def test_the_newest_of_each_environment_stay_and_where_a_rollback_goes(tmp_path: Path) -> None:
    remote = gitops(make_remote(tmp_path), tmp_path / "cache")
    for version in range(1, 6):
        release(remote, evidence(version))
    promote(
        remote, "digits", "staging", "canary", "5", running=runs(5), requested_by="t", workflow="promote-5"
    )
    image = {version: evidence(version).image_digest for version in range(1, 6)}
    assert released_images(remote.tree(), 2) == {image[4], image[5]}
    rollback(remote, "digits", "staging", reason="r", requested_by="t", workflow="back-1", shut_out=True)
    rollback(remote, "digits", "staging", reason="r", requested_by="t", workflow="back-2", shut_out=True)
    # 3 runs now, 4 ran before it, 5 is still in canary, and a rollback would go to 2.
    assert released_images(remote.tree(), 2) == {image[2], image[3], image[4], image[5]}
    assert released_images(remote.tree(), 9) == set(image.values())


def test_every_environment_counts_in_a_real_remote(tmp_path: Path) -> None:
    remote = Remote(tmp_path / "home")
    image, bundle = remote.build(1)
    remote.release(1, image, bundle)
    other, _ = remote.build(2)
    tree = remote.gitops.tree()
    prune_images(remote.store, lambda: released_images(tree, 5), FAR)
    remote.store.check(image)
    with pytest.raises(NotFound):
        remote.store.check(other)
