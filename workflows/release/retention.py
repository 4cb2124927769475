"""Which images are still needed, and the removal of all others from an image layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import IntegrityError, RookeryError
from workflows.release.application import APPS, list_applications
from workflows.release.component import component_path, image_of, release_folder
from workflows.release.history import steps
from workflows.release.image import MODEL_VERSION, ImageStore
from workflows.release.rollback import previous_good
from workflows.release.tree import Tree


@dataclass(frozen=True)
class Freed:
    """An image that nothing needs, or blobs that belong to none.

    Attributes:
        version: the model version in it, where it can still be read.
        size: bytes of the blobs that no other image shares.
    """

    digest: str
    version: str
    size: int


def released_images(tree: Tree, keep: int) -> set[str]:
    """The digests of the last `keep` different images of each environment, and where a rollback would go.

    Raises:
        IntegrityError: a component cannot be read, so nobody knows what is needed.
    """
    needed: set[str] = set()
    for application in list_applications(tree):
        for environment in tree.names(f"{APPS}/{application}"):
            folder = release_folder(application, environment) if _is_environment(environment) else ""
            if not folder or not tree.names(folder):
                continue
            path = component_path(application, environment)
            image_of(tree.read(path), path)
            past = steps(tree.git, tree.revision, folder, application, environment)
            released = dict.fromkeys(step.image_digest for step in past if step.image_digest)
            needed |= set(list(released)[:keep])
            back = previous_good(tree, application, environment)
            if back is not None and back.image_digest is not None:
                needed.add(back.image_digest)
    return needed


def prune_images(
    store: ImageStore, needed: Callable[[], Collection[str]], before: float, *, dry_run: bool = False
) -> list[Freed]:
    """Remove the images written before a moment that are not needed, with the blobs that only they have.

    A killed call leaves blobs that no image refers to; the next one finds them.

    Args:
        needed: asked while no image is being built.
        before: seconds since the epoch; what is younger stays, listed or not.

    Raises:
        IntegrityError: an image that stays cannot be read, so nobody knows its blobs; nothing is removed.
        Unavailable: images were being built for too long.
    """
    if not store.root.is_dir():
        return []
    with store.alone():
        kept, dropped = _sorted_out(store, set(needed()), before)
        used: set[str] = set()
        for digest in kept:
            used |= _blobs_of(store, digest)
        blobs = {path.name: path for path in (store.root / "blobs" / "sha256").glob("*")}
        gone = {f"sha256:{name}": path for name, path in blobs.items() if _is_old(path, before)}
        gone = {digest: path for digest, path in gone.items() if digest not in used}
        freed = _described(store, dropped, {digest: _size(path) for digest, path in gone.items()})
        if not dry_run:
            store.unlist(dropped)
            for path in gone.values():
                path.unlink(missing_ok=True)
        return freed


def _sorted_out(store: ImageStore, needed: set[str], before: float) -> tuple[set[str], list[str]]:
    """The images that stay and those that go; a digest that is no image here is neither."""
    kept, dropped = set(), []
    for entry in store.images():
        digest = str(entry["digest"])
        young = store.blobs.has(digest) and not _is_old(store.blobs.path(digest), before)
        if digest in needed or young or "annotations" in entry:
            kept.add(digest)
        else:
            dropped.append(digest)
    for digest in needed - kept:
        with suppress(RookeryError):
            store.manifest(digest)
            kept.add(digest)
    return {digest for digest in kept if store.blobs.has(digest)}, dropped


def _blobs_of(store: ImageStore, digest: str) -> set[str]:
    try:
        manifest = store.manifest(digest)
        return {digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    except (RookeryError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"an image that is needed cannot be read, so no image was removed: {error}",
            value=digest,
            allowed="packing its version again, see docs/how-to/promote-and-roll-back.md",
        ) from error


def _described(store: ImageStore, dropped: Iterable[str], sizes: dict[str, int]) -> list[Freed]:
    left = dict(sizes)
    freed = []
    for digest in dropped:
        version, blobs = "", {digest}
        with suppress(RookeryError, KeyError, TypeError, ValueError):
            blobs = _blobs_of(store, digest)
            version = store.labels(digest).get(MODEL_VERSION, "")
        freed.append(Freed(digest, version, sum(left.pop(blob, 0) for blob in blobs)))
    if left:
        freed.append(Freed("", "", sum(left.values())))
    return freed


def _is_environment(name: str) -> bool:
    return "." not in name


def _is_old(path: Path, before: float) -> bool:
    return path.stat().st_mtime < before


def _size(path: Path) -> int:
    return path.stat().st_size
