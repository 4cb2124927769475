"""A layout on disk and a registry behind one face."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.bundle.reader import bundle_digest
from services.common.errors import IntegrityError, InvalidInput
from tests.support.bundles import tiny_image_bundle
from tests.support.release import digest
from workflows.release.base import ServingBase
from workflows.release.images import LayoutImages, RegistryImages, open_base, open_images

BASE = ServingBase(files={}, config={}, labels={})


def test_a_layout_builds_checks_and_gives_the_bundle_back(tmp_path: Path) -> None:
    images = open_images(f"oci:{tmp_path}/images", tmp_path / "cache")
    assert isinstance(images, LayoutImages)
    bundle = tiny_image_bundle(tmp_path / "bundle")
    promised = bundle_digest(bundle)
    image = images.build("digits", BASE, bundle, {}, promised=promised)
    assert images.check("digits", image)["io.rookery.bundle-digest"] == promised
    assert images.bundle("digits", image, promised).digest == promised
    assert images.name("digits") == "rookery/digits"
    with pytest.raises(IntegrityError):
        images.build("digits", BASE, bundle, {}, promised=digest("other"))


def test_two_who_unpack_the_same_image_at_once_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = LayoutImages(tmp_path / "images", tmp_path / "cache")
    bundle = tiny_image_bundle(tmp_path / "bundle")
    promised = bundle_digest(bundle)
    built = images.build("digits", BASE, bundle, {}, promised=promised)
    rename = Path.rename

    def overtaken(self: Path, target: Path) -> Path:
        if target.parent.name == "unpacked":
            shutil.copytree(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    assert images.bundle("digits", built, promised).digest == promised


def test_a_registry_is_named_by_host_and_prefix(tmp_path: Path) -> None:
    images = open_images("http://registry.rookery.svc:5000/models", tmp_path)
    assert isinstance(images, RegistryImages)
    assert images.name("digits") == "registry.rookery.svc:5000/models/rookery/digits"


@pytest.mark.parametrize("place", ["oci:images", "", "oci:", "ho st"])
def test_other_places_are_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidInput):
        open_images(place, tmp_path)


def test_a_folder_is_a_base() -> None:
    assert open_base(str(Path(__file__).parents[3])).labels.keys() == {
        "io.rookery.serving-code",
        "io.rookery.serving-environment",
    }
