"""The release/ folder of an environment: a Kustomize Component that names one image by digest.

Source: Kustomize reference, `Component` (kustomize.config.k8s.io/v1alpha1) and the images transformer.
"""

from __future__ import annotations

from typing import Any

import yaml

from services.common.digest import is_digest
from services.common.errors import IntegrityError
from workflows.release.names import check_name

PLACEHOLDER = "rookery/model"
_HEAD = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}


def release_folder(application: str, environment: str) -> str:
    """Path of the only folder that a promotion writes."""
    return f"k8s/apps/{check_name(application)}/{check_name(environment, 'environment')}/release"


def component_path(application: str, environment: str) -> str:
    """Path of the component's kustomization.yaml."""
    return f"{release_folder(application, environment)}/kustomization.yaml"


def render_component(image_name: str, image_digest: str, model_version: str) -> bytes:
    """The component of a released image; the server learns digest and version from the config map."""
    content: dict[str, Any] = {
        **_HEAD,
        "images": [{"name": PLACEHOLDER, "newName": image_name, "digest": image_digest}],
        "configMapGenerator": [
            {
                "name": "release",
                "literals": [
                    f"ROOKERY_SERVE_MODEL_VERSION={model_version}",
                    f"ROOKERY_SERVE_IMAGE_DIGEST={image_digest}",
                ],
            }
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, width=200).encode()


# Nothing is released yet: no pod is started, and the autoscaler leaves a workload of zero replicas alone.
EMPTY: bytes = yaml.safe_dump(
    {**_HEAD, "replicas": [{"name": "serve", "count": 0}]}, sort_keys=False
).encode()


def image_of(data: bytes | None, path: str) -> str | None:
    """The image digest that a component names, or nothing when it releases nothing.

    Raises:
        IntegrityError: it is no such component, or names an image without a digest.
    """
    if data is None:
        return None
    try:
        content = yaml.safe_load(data)
        images = content.get("images", [])
        found = [image["digest"] for image in images if image["name"] == PLACEHOLDER]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is no release component: {error}") from error
    if not found:
        return None
    if len(found) != 1 or not isinstance(found[0], str) or not is_digest(found[0]):
        raise IntegrityError(f"{path} must name one image by digest", value=found)
    return found[0]
