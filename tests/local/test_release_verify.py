"""A real server, a real MLflow, a real image: do they agree, and which one does not?"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.bundle.reader import Bundle, bundle_digest, read_bundle
from services.common.mlflow_rest import MlflowClient
from tests.support.bundles import tiny_audio_bundle, tiny_image_bundle
from tests.support.release import digest, evidence, gitops, make_remote
from tests.support.servers import Server, free_port
from workflows.release.base import ServingBase
from workflows.release.component import component_path, render_component
from workflows.release.gitops import GitOps, Message
from workflows.release.image import ImageStore
from workflows.release.release import release
from workflows.release.running import fetch_running
from workflows.release.tree import Tree
from workflows.release.verify import EnvironmentCheck, verify_environment, verify_golden

ROOT = Path(__file__).parents[2]


def serve(bundle: Path, log: Path, **environment: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "services.serve", "--bundle", str(bundle), "--port", str(port)]
    server = Server(
        command,
        log=log,
        port=port,
        health="/readyz",
        cwd=ROOT,
        environment={"OMP_NUM_THREADS": "1", **environment},
    )
    return server.start()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verify")


@pytest.fixture(scope="module", params=["image", "audio"])
def served(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Server, Bundle]]:
    make = tiny_image_bundle if request.param == "image" else tiny_audio_bundle
    bundle = make(folder / request.param)
    server = serve(bundle, folder / f"{request.param}.log")
    yield server, read_bundle(bundle)
    server.stop()


def test_the_right_server_passes(served: tuple[Server, Bundle]) -> None:
    server, bundle = served
    result = verify_golden(server.url, bundle)
    assert result.passed, result.reasons
    assert result.items == result.labels_equal == len(bundle.golden.inputs)
    assert result.max_difference <= 1e-5
    assert 0 < result.p95_ms < 5000
    assert result.as_dict()["bundle_digest"] == bundle.digest


def test_another_bundle_behind_the_address_fails_by_name(
    served: tuple[Server, Bundle], tmp_path: Path
) -> None:
    server, bundle = served
    make = tiny_image_bundle if bundle.manifest.application == "digits" else tiny_audio_bundle
    other = read_bundle(make(tmp_path, temperature=3.0))
    result = verify_golden(server.url, other)
    assert not result.passed
    assert any("another bundle" in reason for reason in result.reasons)
    if bundle.manifest.application == "digits":
        assert any("a probability differs by" in reason for reason in result.reasons)


def test_no_server_is_no_pass(served: tuple[Server, Bundle]) -> None:
    result = verify_golden(f"http://127.0.0.1:{free_port()}", served[1], timeout_seconds=1)
    assert not result.passed
    assert result.labels_equal == 0
    assert "was not answered" in result.reasons[0]


@dataclass
class Place:
    """Everything that should agree, for version 1."""

    ops: GitOps
    store: ImageStore
    image: str
    server: Server
    mlflow: MlflowClient
    application: str

    def check(self, running: Callable[[], object] | None = None) -> EnvironmentCheck:
        return verify_environment(
            self.ops.tree(),
            self.application,
            "staging",
            registry=self.mlflow,
            image=self.store.check,
            running=lambda: fetch_running(self.server.url, timeout_seconds=30),
        )


@pytest.fixture
def place(tmp_path: Path, mlflow: Server) -> Iterator[Place]:
    application = f"app-{uuid.uuid4().hex[:8]}"
    bundle = tiny_image_bundle(tmp_path / "bundle")
    promised = bundle_digest(bundle)
    store = ImageStore(tmp_path / "images")
    image = store.build(ServingBase.from_checkout(ROOT), bundle, {"io.rookery.model-version": "1"})
    ops = gitops(make_remote(tmp_path, application), tmp_path / "cache")
    proof = evidence(1, application=application, image_digest=image, bundle_digest=promised)
    with MlflowClient(mlflow.url) as client:
        client.ensure_registered_model(application)
        run_id = client.create_run(client.experiment_id(application), "trained", {})
        source = f"{client.run(run_id)['info']['artifact_uri']}/bundle"
        for tag in (promised, digest("of another version")):
            client.create_version(application, source, run_id, {"rookery.bundle_digest": tag})
        client.set_alias(application, "staging", "1")
        release(ops, proof)
        unpacked = store.unpack(image, tmp_path / "run")
        identity = {"ROOKERY_SERVE_IMAGE_DIGEST": image, "ROOKERY_SERVE_MODEL_VERSION": "1"}
        server = serve(unpacked / "bundle", tmp_path / "serve.log", **identity)
        yield Place(ops, store, image, server, client, application)
        server.stop()


def test_all_four_agree_and_then_each_one_that_differs_is_named(place: Place, tmp_path: Path) -> None:
    found = place.check()
    assert found.agrees, found.reasons
    assert [where.name for where in found.places] == ["git", "registry", "image", "memory"]

    place.mlflow.set_alias(place.application, "staging", "2")
    assert place.check().differs == ["registry"]
    place.mlflow.delete_alias(place.application, "staging")
    assert place.check().differs == ["registry"]
    place.mlflow.set_alias(place.application, "staging", "1")

    layer = place.store.blobs.path(place.store.manifest(place.image)["layers"][-1]["digest"])
    data = layer.read_bytes()
    layer.write_bytes(data[:-1] + b"x")
    found = place.check()
    assert found.differs == ["image"] and "altered" in found.reasons[0]
    layer.write_bytes(data)

    running = place.server
    other = tiny_image_bundle(tmp_path / "other", temperature=2.0)
    place.server = serve(other, tmp_path / "other.log")
    try:
        assert place.check().differs == ["memory"]
    finally:
        place.server.stop()
    found = place.check()
    assert found.differs == ["memory"] and "does not say what it runs" in found.reasons[0]
    place.server = running

    moved = evidence(2, application=place.application, bundle_digest=digest("b2"), image_digest=digest("i2"))
    release(place.ops, moved)
    assert "git" in place.check().differs
    assert "registry" not in place.check().differs and "memory" not in place.check().differs


def test_a_component_edited_by_hand_is_named(place: Place) -> None:
    def edit(tree: Tree) -> Message:
        component = render_component("rookery/x", digest("by hand"), "1")
        tree.write(component_path(place.application, "staging"), component)
        return Message("quick fix", {"Action": "test"})

    place.ops.commit(edit)
    found = place.check()
    assert found.differs == ["git"]
    assert "do not fit" in found.reasons[0]


def test_the_server_runs_from_the_code_in_the_image(place: Place, tmp_path: Path) -> None:
    folder = place.store.unpack(place.image, tmp_path / "whole")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "services.serve",
        "--bundle",
        str(folder / "bundle"),
        "--port",
        str(port),
    ]
    server = Server(command, log=tmp_path / "own.log", port=port, health="/readyz", cwd=folder / "app")
    try:
        server.start()
        assert verify_golden(server.url, read_bundle(folder / "bundle")).passed
    finally:
        server.stop()
