"""Where images go and come from: an OCI layout on disk, or a registry; one face for both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from services.bundle.reader import Bundle
from services.common.errors import InvalidInput
from workflows.release.base import ServingBase
from workflows.release.image import ImageStore
from workflows.release.names import check_name
from workflows.release.registry import Registry, parse_reference, serving_base


class Images(Protocol):
    """The images of all applications."""

    def name(self, application: str) -> str:
        """Repository of an application's images, as an evidence's `image_name`."""

    def build(
        self, application: str, base: ServingBase, bundle: Path, labels: Mapping[str, str], *, promised: str
    ) -> str:
        """Pack a bundle that must have the digest `promised`, and publish it; returns the image digest."""

    def check(self, application: str, digest: str) -> dict[str, str]:
        """See that an image is whole; returns its labels."""

    def bundle(self, application: str, digest: str, bundle_digest: str) -> Bundle:
        """The bundle in an image, checked against both digests."""


class LayoutImages:
    """Images in an OCI layout; `cache` holds unpacked bundles and may be lost."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.store = ImageStore(root)
        self._cache = cache

    def name(self, application: str) -> str:
        return f"rookery/{check_name(application)}"

    def build(
        self, application: str, base: ServingBase, bundle: Path, labels: Mapping[str, str], *, promised: str
    ) -> str:
        return self.store.build(base, bundle, labels, expected_bundle_digest=promised)

    def check(self, application: str, digest: str) -> dict[str, str]:
        return self.store.check(digest)

    def bundle(self, application: str, digest: str, bundle_digest: str) -> Bundle:
        return self.store.bundle(digest, bundle_digest, self._cache)


class RegistryImages:
    """Images in a registry at `host:port[/prefix]`; `cache` holds copies and may be lost."""

    def __init__(self, address: str, cache: Path) -> None:
        place = parse_reference(f"{address.rstrip('/')}/rookery")
        self._prefix = f"{place.scheme}://{place.name}"
        self._cache = cache
        self._store = ImageStore(cache / f"images-{hashlib.sha256(address.encode()).hexdigest()[:12]}")

    def name(self, application: str) -> str:
        return self._prefix.partition("://")[2] + f"/{check_name(application)}"

    def build(
        self, application: str, base: ServingBase, bundle: Path, labels: Mapping[str, str], *, promised: str
    ) -> str:
        digest = self._store.build(base, bundle, labels, expected_bundle_digest=promised)
        with self._open(application) as registry:
            registry.push(self._store, digest)
        return digest

    def check(self, application: str, digest: str) -> dict[str, str]:
        with self._open(application) as registry:
            return registry.check(digest)

    def bundle(self, application: str, digest: str, bundle_digest: str) -> Bundle:
        with self._open(application) as registry:
            registry.pull(digest, self._store)
        return self._store.bundle(digest, bundle_digest, self._cache)

    def _open(self, application: str) -> Registry:
        return Registry(f"{self._prefix}/{check_name(application)}")


def open_images(place: str, cache: Path) -> Images:
    """The images at `oci:/path`, or in the registry `[http://]host:port[/prefix]`.

    Raises:
        InvalidInput: it is neither.
    """
    if place.startswith("oci:"):
        root = Path(place.removeprefix("oci:"))
        if not root.is_absolute():
            raise InvalidInput("an image layout needs an absolute path", value=place, allowed="oci:/path")
        return LayoutImages(root, cache)
    return RegistryImages(place, cache)


def open_base(place: str) -> ServingBase:
    """The serving base: a checkout's folder, or an image reference with a digest or tag."""
    if place.startswith(("/", ".")):
        return ServingBase.from_checkout(Path(place))
    return serving_base(place)
