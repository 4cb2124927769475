"""The only file that decides what runs."""

from __future__ import annotations

import pytest
import yaml

from services.common.errors import IntegrityError, InvalidInput
from tests.support.release import digest
from workflows.release.component import EMPTY, component_path, image_of, release_folder, render_component

DIGEST = digest("image")


def test_a_component_names_one_image_by_digest() -> None:
    data = render_component("rookery/digits", DIGEST, "3")
    content = yaml.safe_load(data)
    assert content["kind"] == "Component"
    assert content["images"] == [{"name": "rookery/model", "newName": "rookery/digits", "digest": DIGEST}]
    assert image_of(data, "x") == DIGEST


def test_nothing_released_is_no_image_and_no_replica() -> None:
    assert image_of(EMPTY, "x") is None
    assert image_of(None, "x") is None
    assert yaml.safe_load(EMPTY)["replicas"] == [{"name": "serve", "count": 0}]


@pytest.mark.parametrize(
    "data",
    [
        b"[",
        b"text",
        b"images: [{name: rookery/model, newTag: latest}]",
        b"images: [{name: rookery/model, digest: latest}]",
        b"images: [{name: rookery/model, digest: 5}]",
        f"images: [{{name: rookery/model, digest: '{DIGEST}'}}, {{name: rookery/model, digest: '{DIGEST}'}}]".encode(),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        image_of(data, "release/kustomization.yaml")


@pytest.mark.parametrize(
    ("application", "environment"), [("../x", "staging"), ("digits", "../../x"), ("digits", "")]
)
def test_a_path_needs_names(application: str, environment: str) -> None:
    with pytest.raises(InvalidInput):
        release_folder(application, environment)
    assert component_path("digits", "canary") == "k8s/apps/digits/canary/release/kustomization.yaml"
