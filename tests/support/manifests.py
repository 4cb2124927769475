"""Built manifests: every overlay as the repository has it, and as a site with facts of its own gets it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import kubernetes_validate.utils
import yaml

from tests.support.release import digest, evidence
from workflows.release.release import write_release

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.34"
Resource = dict[str, Any]
# The library reads and parses its schemas, some megabytes, for every resource.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


def check_schema(resource: Resource) -> None:
    """Fails when a resource does not fit the schema of its kind; unknown fields do not fit either."""
    kubernetes_validate.utils.validate(resource, KUBERNETES, strict=True)


GATEWAY_IMAGE = "traefik"
"""Of a site that has a gateway."""
IMAGES = (
    *("rookery/workflow", "rookery/serve", "rookery/evaluate", "rookery/train", "rookery/tracking"),
    *("rookery/git", "postgres", "minio/minio", "registry"),
    *("rookery/monitor", "rookery/arbiter", "rookery/board", "rookery/notify", "rookery/observe"),
    *("rookery/labels", "rookery/studio"),
    *("prom/prometheus", "prom/alertmanager", "grafana/grafana"),
    GATEWAY_IMAGE,
)
NODES, CONTROL_PLANE, CLIENTS, TRAIN_HOST, GIT_HOST, IMAGE_HOST = (
    "192.168.1.0/24",
    "192.168.1.11/32",
    "10.20.0.0/16",
    "192.168.7.7/32",
    "203.0.113.5/32",
    "203.0.113.6/32",
)
NOTIFY_HOST = "203.0.113.7/32"


def _peers(direction: str, cidr: str) -> list[Resource]:
    end = {"ingress": "from", "egress": "to"}[direction]
    return [{"op": "replace", "path": f"/spec/{direction}/0/{end}", "value": [{"ipBlock": {"cidr": cidr}}]}]


_NAME = "app.kubernetes.io~1name"
WITH_GATEWAY: dict[str, Any] = {
    "gateway": [{"op": "test", "path": "/metadata/labels/rookery~1gateway", "value": "true"}],
    "way-in": [{"op": "replace", "path": f"/spec/selector/{_NAME}", "value": "gateway"}],
}
FACTS: dict[str, Any] = {
    "external-addresses": [{"op": "add", "path": "/spec/externalIPs", "value": ["192.168.1.11"]}],
    "client-networks": _peers("ingress", CLIENTS),
    "node-networks": _peers("ingress", NODES),
    "control-plane": _peers("egress", CONTROL_PLANE),
    "train-networks": _peers("egress", TRAIN_HOST),
    "git-networks": _peers("egress", GIT_HOST),
    "image-registries": _peers("egress", IMAGE_HOST),
    "notify-networks": _peers("egress", NOTIFY_HOST),
    "storage-class": [{"op": "replace", "path": "/spec/storageClassName", "value": "fast"}],
    "registry-address": [{"op": "replace", "path": "/spec/clusterIP", "value": "10.97.0.9"}],
    "settings": [
        {"op": "replace", "path": "/data/ROOKERY_TRAIN_URL", "value": "http://192.168.7.7:9090"},
        {"op": "replace", "path": "/data/ROOKERY_GIT_REMOTE", "value": "https://git.example/rookery.git"},
    ],
    "mlflow-hosts": [
        {"op": "replace", "path": "/data/ROOKERY_TRACKING_ALLOWED_HOSTS", "value": "mlflow.example:8000"}
    ],
    "labels-address": [
        {"op": "replace", "path": f"/data/ROOKERY_LABELS_{name}", "value": f"http://{host}.example"}
        for name, host in (("STUDIO_PUBLIC_URL", "studio"), ("PUBLIC_URL", "labels"))
    ],
    "repository": [
        {"op": "replace", "path": "/data/url", "value": "https://git.example/rookery.git"},
        {"op": "replace", "path": "/data/branch", "value": "site"},
    ],
    "gateway": {"$patch": "delete", "apiVersion": "v1", "kind": "any", "metadata": {"name": "any"}},
    "way-in": [{"op": "replace", "path": f"/spec/selector/{_NAME}", "value": "serve"}],
    "folders": [
        {
            "op": "replace",
            "path": "/spec/generators/0/git/directories",
            "value": [{"path": "k8s/platform/*"}, {"path": "k8s/platform/git", "exclude": True}],
        }
    ],
}


@lru_cache
def kustomize() -> str:
    """The path of kustomize, built by the first caller when it is missing."""
    done = subprocess.run([ROOT / "tests/tools/kustomize.sh"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@lru_cache
def build(folder: Path) -> list[Resource]:
    """The resources of a kustomization; a warning of kustomize fails like an error."""
    done = subprocess.run([kustomize(), "build", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def overlays(root: Path = ROOT) -> list[Path]:
    """Every folder that is applied as a whole, relative to the root."""
    places = [
        root / "k8s/argocd",
        *(root / "k8s/platform").iterdir(),
        *(root / "k8s/pipeline").iterdir(),
        *(path.parent for path in (root / "k8s/apps").glob("*/*/kustomization.yaml")),
    ]
    return sorted(path.relative_to(root) for path in places)


class Files:
    """Takes the files of a release and puts them into a copy of the repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, data: bytes) -> None:
        (self.root / path).write_bytes(data)


def copy(root: Path) -> Path:
    """A copy of all that kustomize reads."""
    shutil.copytree(ROOT / "k8s", root / "k8s")
    shutil.copytree(ROOT / "workflows/rendered", root / "workflows/rendered")
    return root


def sample_site(root: Path, more: dict[str, Any] | None = None) -> Path:
    """A copy with the facts of an imagined site, and with a release in every environment.

    Args:
        more: facts over the usual ones.
    """
    copy(root)
    for name, patch in (FACTS | (more or {})).items():
        (root / f"k8s/site/facts/{name}.yaml").write_text(yaml.safe_dump(patch))
    path = root / "k8s/site/images/kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    content["images"] = [
        {"name": name, "newName": f"registry.example:5000/{name}", "digest": digest(name)} for name in IMAGES
    ]
    path.write_text(yaml.safe_dump(content))
    for folder in (root / "k8s/apps").glob("*/*/release"):
        application, environment = folder.parent.parent.name, folder.parent.name
        proof = evidence(
            7,
            application=application,
            environment=environment,
            image_name=f"registry.rookery.svc:5000/rookery/{application}",
        )
        write_release(Files(root), proof)  # type: ignore[arg-type]
    return root


def one(resources: list[Resource], kind: str, name: str | None = None) -> Resource:
    """The only resource of a kind, and name when one is given."""
    found = [r for r in resources if r["kind"] == kind and name in (None, r["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod_templates(resources: list[Resource]) -> Iterator[tuple[str, Resource, Resource]]:
    """Name, metadata and spec of the pods of every workload; of a WorkflowTemplate those of each template."""
    for resource in resources:
        name = f"{resource['kind']}/{resource['metadata']['name']}"
        if resource["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            pod = resource["spec"]["template"]
            yield name, pod.get("metadata", {}), pod["spec"]
        elif resource["kind"] == "WorkflowTemplate":
            yield from _step_pods(name, resource["spec"])


def _step_pods(name: str, spec: Resource) -> Iterator[tuple[str, Resource, Resource]]:
    for template in spec["templates"]:
        if kinds := {"script", "container", "containerSet"} & template.keys():
            work = template[kinds.pop()]
            pod = {
                "containers": work.get("containers", [{"name": "main"} | work]),
                "initContainers": template.get("initContainers", []),
                "volumes": [*spec.get("volumes", []), *template.get("volumes", [])],
                "securityContext": template.get("securityContext") or spec.get("securityContext") or {},
                "automountServiceAccountToken": template.get(
                    "automountServiceAccountToken", spec.get("automountServiceAccountToken")
                ),
                "serviceAccountName": template.get("serviceAccountName", spec.get("serviceAccountName")),
            }
            yield f"{name}/{template['name']}", template.get("metadata", {}), pod


def containers(pod: Resource) -> list[Resource]:
    """All containers of a pod, those that run before it included."""
    return [*pod.get("initContainers", []), *pod["containers"]]
