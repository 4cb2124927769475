"""Where images go and come from: an OCI layout on disk, or a registry; one face for both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from services.bundle.reader import Bundle
from services.common.errors import InvalidInput
from workflows.release.base import ServingBase
from workflows.release.image import ImageStore
from workflows.release.names import check_name
from workflows.release.reference import RegistrySettings, parse_reference
from workflows.release.registry import Registry, serving_base

_BASE = "serve"


class Images(Protocol):
    """The images of all applications."""

    def name(self, application: str) -> str:
        """Repository of an application's images, as an evidence's `image_name`."""

    def build(
        self, application: str, base: ServingBase, bundle: Path, labels: Mapping[str, str], *, promised: str
    ) -> str:
        """Pack a bundle that must have the digest `promised`, and publish it; returns the image digest."""

    def rebase(self, application: str, digest: str, base: ServingBase) -> str:
        """Put the bundle of an image on another base and publish that; returns the new digest."""

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

    def rebase(self, application: str, digest: str, base: ServingBase) -> str:
        return self.store.rebase(digest, base)

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
        digest = self._store.build(self._brought(base), bundle, labels, expected_bundle_digest=promised)
        with self._open(application) as registry:
            registry.push(self._store, digest)
        return digest

    def rebase(self, application: str, digest: str, base: ServingBase) -> str:
        base = self._brought(base)
        with self._open(application) as registry:
            registry.pull(digest, self._store)
            rebased = self._store.rebase(digest, base)
            registry.push(self._store, rebased)
        return rebased

    def check(self, application: str, digest: str) -> dict[str, str]:
        with self._open(application) as registry:
            return registry.check(digest)

    def bundle(self, application: str, digest: str, bundle_digest: str) -> Bundle:
        with self._open(application) as registry:
            registry.pull(digest, self._store)
        return self._store.bundle(digest, bundle_digest, self._cache)

    def _brought(self, base: ServingBase) -> ServingBase:
        """The base in our own registry, so that its layers can be mounted; copied there when it is in another."""
        if base.name is None or parse_reference(base.name).host == parse_reference(self._prefix).host:
            return base
        place = f"{self._prefix}/{_BASE}"
        digest = base.name.partition("@")[2]
        self._cache.mkdir(parents=True, exist_ok=True)
        settings = RegistrySettings().of_base()
        with Registry(f"{base.scheme}://{base.name}", settings) as origin, Registry(place) as ours:
            ours.copy(digest, origin, self._cache)
            return replace(base, name=f"{ours.place.name}@{digest}", scheme=ours.place.scheme)

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


def open_base(place: str, images: str = "") -> ServingBase:
    """The serving base: a checkout's folder, or an image reference with a digest or tag.

    Args:
        images: where the model images are; a base in another registry is read with that one's own login.
    """
    if place.startswith(("/", ".")):
        return ServingBase.from_checkout(Path(place))
    settings = RegistrySettings()
    ours = images and not images.startswith("oci:") and parse_reference(f"{images.rstrip('/')}/rookery").host
    return serving_base(place, settings if parse_reference(place).host == ours else settings.of_base())
