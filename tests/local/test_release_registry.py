"""The same image in a real registry: pushed by layers, mounted from the base, pulled and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.bundle.reader import bundle_digest
from services.common.digest import canonical_json, digest_bytes
from services.common.errors import IntegrityError, NotFound, Unavailable
from tests.support import web
from tests.support.bundles import tiny_image_bundle
from tests.support.release import digest, write_bundle_files
from tests.support.release_http import registry_server
from tests.support.servers import Server, free_port
from workflows.release.base import CONFIG, MANIFEST, ServingBase
from workflows.release.image import ImageStore
from workflows.release.images import open_images
from workflows.release.registry import Registry, RegistryError, RegistrySettings, push, serving_base

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = registry_server(tmp_path_factory.mktemp("registry")).start()
    yield server
    server.stop()


@pytest.fixture
def host(registry: Server) -> str:
    return f"127.0.0.1:{registry.port}"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def built(store: ImageStore, folder: Path, model: bytes = b"model") -> str:
    return store.build(
        ServingBase.from_checkout(REPOSITORY), write_bundle_files(folder / "b", model), {"n": "1"}
    )


def test_an_image_is_pushed_once_and_read_back_the_same(host: str, store: ImageStore, tmp_path: Path) -> None:
    image = built(store, tmp_path)
    place = f"{host}/once/digits"
    blobs = [*store.manifest(image)["layers"], store.manifest(image)["config"]]
    assert push(store, image, place, tag="v1") == sum(blob["size"] for blob in blobs)
    assert push(store, image, place) == 0
    with Registry(place) as remote:
        assert digest_bytes(remote.manifest_bytes("v1")) == image
        assert remote.check(image) == store.check(image)
        copy = ImageStore(tmp_path / "copy")
        remote.pull(image, copy)
    assert copy.check(image) == store.check(image)
    assert copy.unpack(image, tmp_path / "run").is_dir()


def test_only_the_new_layer_moves_for_the_next_model(host: str, store: ImageStore, tmp_path: Path) -> None:
    place = f"{host}/next/digits"
    push(store, built(store, tmp_path / "1"), place)
    model = bytes(range(256)) * 8192
    sent = push(store, built(store, tmp_path / "2", model), place)
    assert len(model) < sent <= 1.05 * len(model)


def test_layers_go_in_chunks(host: str, store: ImageStore, tmp_path: Path) -> None:
    image = built(store, tmp_path, bytes(300_000))
    settings = RegistrySettings(chunk_bytes=1 << 16)
    with Registry(f"{host}/chunks/digits", settings) as remote:
        remote.push(store, image)
        assert remote.check(image) == store.check(image)


def test_a_model_is_put_on_a_base_that_lies_in_the_registry(
    host: str, store: ImageStore, tmp_path: Path
) -> None:
    base_place = f"{host}/rookery/serve"
    lower = ServingBase.from_checkout(REPOSITORY)
    push(store, _plain_base(store, lower), base_place, tag="code-1")
    base = serving_base(f"{base_place}:code-1")
    assert base.config["Entrypoint"] == lower.config["Entrypoint"]
    fresh = ImageStore(tmp_path / "fresh")
    model = bytes(1 << 20)
    bundle = write_bundle_files(tmp_path / "bundle", model)
    image = fresh.build(base, bundle, {})
    assert fresh.check(image)["io.rookery.base"] == base.labels["io.rookery.base"]
    sent = push(fresh, image, f"{host}/rookery/digits")
    assert sent <= 1.05 * len(model)
    with Registry(f"{host}/rookery/digits") as remote:
        remote.check(image)
        whole = ImageStore(tmp_path / "whole")
        remote.pull(image, whole, base=True)
    folder = whole.unpack(image, tmp_path / "run")
    assert (folder / "app/services/serve/predictor.py").is_file()
    assert (folder / "bundle/model.onnx").read_bytes() == model


def _plain_base(store: ImageStore, base: ServingBase) -> str:
    layer, _ = store._layer(base.files)
    config = canonical_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(base.config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": store.blobs.write_bytes(config), "size": len(config)},
        "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}],
    }
    return store.blobs.write_bytes(canonical_json(manifest))


def test_the_face_of_a_registry_builds_and_gives_the_bundle_back(host: str, tmp_path: Path) -> None:
    images = open_images(host, tmp_path / "here")
    bundle = tiny_image_bundle(tmp_path / "bundle")
    promised = bundle_digest(bundle)
    image = images.build("digits", ServingBase.from_checkout(REPOSITORY), bundle, {}, promised=promised)
    elsewhere = open_images(host, tmp_path / "there")
    assert elsewhere.check("digits", image)["io.rookery.bundle-digest"] == promised
    assert elsewhere.bundle("digits", image, promised).digest == promised


def test_an_altered_image_is_not_pushed(host: str, store: ImageStore, tmp_path: Path) -> None:
    image = built(store, tmp_path)
    layer = store.manifest(image)["layers"][-1]["digest"]
    data = store.blobs.path(layer).read_bytes()
    store.blobs.path(layer).write_bytes(data[:-1] + b"x")
    with pytest.raises(IntegrityError):
        push(store, image, f"{host}/altered/digits")
    assert web.get(f"http://{host}/v2/altered/digits/tags/list").status_code == 404


def test_bytes_altered_in_the_registry_are_refused(
    host: str, registry: Server, store: ImageStore, tmp_path: Path
) -> None:
    image = built(store, tmp_path, b"a model of its own")
    place = f"{host}/poison/digits"
    push(store, image, place)
    layer = store.manifest(image)["layers"][-1]["digest"][7:]
    assert registry.cwd is not None
    blob = next(registry.cwd.glob(f"blobs/**/{layer}/data"))
    data = blob.read_bytes()
    blob.write_bytes(data.replace(b"a model", b"A MODEL"))
    with Registry(place) as remote, pytest.raises(IntegrityError):
        remote.pull(image, ImageStore(tmp_path / "copy"))
    assert not ImageStore(tmp_path / "copy").blobs.has(f"sha256:{layer}")


def test_what_is_not_there_is_said(host: str, tmp_path: Path) -> None:
    with Registry(f"{host}/nothing/here") as remote:
        with pytest.raises(NotFound):
            remote.check(digest("x"))
        assert not remote.has_blob(digest("x"))
    with pytest.raises(NotFound):
        serving_base(f"{host}/nothing/here:v1")


def test_a_registry_that_is_away_is_said(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        push(store, built(store, tmp_path), f"127.0.0.1:{free_port()}/a")


def test_a_registry_that_refuses_a_push_for_now_is_tried_again_later(
    store: ImageStore, tmp_path: Path
) -> None:
    server = registry_server(tmp_path / "registry")
    configuration = tmp_path / "registry/config.yml"
    writable = configuration.read_text()
    shut = writable.replace("storage:\n", "storage:\n  maintenance: {readonly: {enabled: true}}\n")
    configuration.write_text(shut)
    server.start()
    image, place = built(store, tmp_path), f"127.0.0.1:{server.port}/shut/digits"
    try:
        with pytest.raises(Unavailable, match="failed"):
            push(store, image, place)
    finally:
        server.stop()
    configuration.write_text(writable)
    server.start()
    try:
        assert push(store, image, place) > 0
    finally:
        server.stop()


def test_a_login_is_used_and_a_missing_one_is_named(store: ImageStore, tmp_path: Path) -> None:
    bcrypt = "$2b$04$JbNXqX1lGsrmvDnF5fGJeu47JS8d.hYvUPFg9qkoC6NxDFIoEGsle"
    (tmp_path / "htpasswd").write_text(f"somebody:{bcrypt}\n")
    auth = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}"
    server = registry_server(tmp_path / "registry", auth=auth).start()
    try:
        image = built(store, tmp_path)
        with pytest.raises(RegistryError, match="ROOKERY_REGISTRY_USERNAME"):
            push(store, image, f"127.0.0.1:{server.port}/closed/digits")
        wrong = RegistrySettings(username="somebody", password="wrong")  # type: ignore[arg-type]
        with (
            Registry(f"127.0.0.1:{server.port}/closed/digits", wrong) as remote,
            pytest.raises(RegistryError),
        ):
            remote.push(store, image)
    finally:
        server.stop()
