"""A serving base in another registry than the model images: copied once, mounted from then on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from services.bundle.reader import bundle_digest
from services.common.digest import canonical_json
from services.common.errors import NotFound
from tests.support import web
from tests.support.bundles import tiny_image_bundle
from tests.support.release import write_bundle_files
from tests.support.release_http import counting_proxy, registry_server
from tests.support.servers import Server
from workflows.release.base import ServingBase
from workflows.release.image import OWN_LABELS, ImageStore
from workflows.release.images import open_base, open_images
from workflows.release.layer import DOCKER_GZIP
from workflows.release.registry import Registry

REPOSITORY = Path(__file__).parents[2]
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    servers = [registry_server(tmp_path_factory.mktemp(name)).start() for name in ("site", "cluster")]
    yield servers[0], servers[1]
    for server in servers:
        server.stop()


def pushed_base(host: str, folder: Path, code: bytes) -> str:
    """A serving base as an engine pushes it, with Docker's own media types; returns its reference."""
    store = ImageStore(folder)
    lower = ServingBase.from_checkout(REPOSITORY)
    plain, _ = store._layer(lower.files)
    extra, _ = store._layer({"app/code": _file(folder / "code", code)})
    layers = []
    for layer in (plain, extra):
        data = gzip.compress(store.blobs.path(layer.digest).read_bytes(), mtime=0)
        layers.append({"mediaType": DOCKER_GZIP, "digest": store.blobs.write_bytes(data), "size": len(data)})
    config = canonical_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(lower.config),
            "rootfs": {"type": "layers", "diff_ids": [plain.diff_id, extra.diff_id]},
        }
    )
    described = {"mediaType": _DOCKER_CONFIG, "digest": store.blobs.write_bytes(config), "size": len(config)}
    manifest = canonical_json(
        {"schemaVersion": 2, "mediaType": _DOCKER, "config": described, "layers": layers}
    )
    digest = store.blobs.write_bytes(manifest)
    with Registry(f"{host}/rookery/serve") as registry:
        for blob in [*layers, described]:
            with store.blobs.path(str(blob["digest"])).open("rb") as file:
                registry._upload(file, str(blob["digest"]), int(str(blob["size"])))
        registry._put_manifest(digest, manifest, digest, _DOCKER)
    return f"{host}/rookery/serve@{digest}"


def _file(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_base_is_copied_once_and_mounted_from_then_on(
    registries: tuple[Server, Server], tmp_path: Path
) -> None:
    site = f"127.0.0.1:{registries[0].port}"
    reference = pushed_base(site, tmp_path / "base", Random(2).randbytes(3_000_000))
    random = Random(1)
    with counting_proxy(registries[0].port) as near, counting_proxy(registries[1].port) as far:
        place = reference.replace(site, f"127.0.0.1:{near.port}")
        images = open_images(f"127.0.0.1:{far.port}", tmp_path / "pod")
        built = []
        for version, application in (("1", "digits"), ("2", "digits"), ("3", "birds"), ("4", "birds")):
            near.clear()
            far.clear()
            bundle = write_bundle_files(tmp_path / version, random.randbytes(2 << 20))
            base = open_base(place, f"127.0.0.1:{far.port}")
            built.append(images.build(application, base, bundle, {}, promised=bundle_digest(bundle)))
            size = sum(path.stat().st_size for path in bundle.iterdir())
            if version == "1":
                assert far.bytes > size + 3_000_000
            else:
                assert size < near.bytes + far.bytes <= 1.05 * size
    assert len(set(built)) == 4


def test_the_model_runs_on_the_copied_base(registries: tuple[Server, Server], tmp_path: Path) -> None:
    site, cluster = (f"127.0.0.1:{server.port}" for server in registries)
    reference = pushed_base(site, tmp_path / "base", b"whole")
    images = open_images(f"{cluster}/lab", tmp_path / "pod")
    bundle = tiny_image_bundle(tmp_path / "bundle")
    image = images.build("digits", open_base(reference, cluster), bundle, {}, promised=bundle_digest(bundle))
    with Registry(f"{cluster}/lab/rookery/digits") as remote:
        manifest = json.loads(remote.manifest_bytes(image))
        name = f"{cluster}/lab/rookery/serve@{reference.partition('@')[2]}"
        assert manifest["annotations"]["org.opencontainers.image.base.name"] == name
        whole = ImageStore(tmp_path / "whole")
        remote.pull(image, whole, base=True)
    folder = whole.unpack(image, tmp_path / "run")
    assert (folder / "app/code").read_bytes() == b"whole"
    assert (folder / "bundle/model.onnx").is_file()
    answer = web.get(f"http://{cluster}/v2/lab/rookery/serve/manifests/{reference.partition('@')[2]}",
                       headers={"Accept": _DOCKER})  # fmt: skip
    assert answer.status_code == 200


def test_a_model_is_put_on_another_base_without_its_bundle_being_sent(
    registries: tuple[Server, Server], tmp_path: Path
) -> None:
    site, cluster = (f"127.0.0.1:{server.port}" for server in registries)
    old = open_base(pushed_base(site, tmp_path / "old", b"old"), cluster)
    new = open_base(pushed_base(site, tmp_path / "new", b"new"), cluster)
    images = open_images(f"{cluster}/rebase", tmp_path / "pod-1")
    bundle = tiny_image_bundle(tmp_path / "bundle")
    promised = bundle_digest(bundle)
    labels = {name: f"value-of-{name}" for name in OWN_LABELS}
    image = images.build("digits", old, bundle, labels, promised=promised)
    elsewhere = open_images(f"{cluster}/rebase", tmp_path / "pod-2")
    rebased = elsewhere.rebase("digits", image, new)
    assert rebased != image
    found = elsewhere.check("digits", rebased)
    assert new.is_under(found) and not old.is_under(found)
    assert {name: found[name] for name in OWN_LABELS} == labels
    assert elsewhere.bundle("digits", rebased, promised).digest == promised
    assert images.build("digits", new, bundle, labels, promised=promised) == rebased
    assert elsewhere.rebase("digits", rebased, new) == rebased


def test_a_base_that_is_not_there_is_said(registries: tuple[Server, Server], tmp_path: Path) -> None:
    site = f"127.0.0.1:{registries[0].port}"
    with pytest.raises(NotFound):
        open_base(f"{site}/rookery/serve:never")
