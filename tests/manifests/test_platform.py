"""Every workload of every overlay is held to what people who run clusters ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.manifests.conftest import Built
from tests.support.manifests import (
    GATEWAY_IMAGE,
    IMAGES,
    KUBERNETES,
    Resource,
    check_schema,
    containers,
    one,
    pod_templates,
)

SCHEMALESS = {"AppProject", "Application", "ApplicationSet", "CronWorkflow", "WorkflowTemplate"}
ASKS_KUBERNETES = {"arbiter", "board"}
VOLUMES = {
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
UNITS = {"m": 0.001, "Mi": 2**20, "Gi": 2**30, "": 1}


def everything(built: Built) -> list[Resource]:
    return [resource for resources in built.values() for resource in resources]


def pods(built: Built) -> Iterator[tuple[str, Resource, Resource]]:
    for folder, resources in built.items():
        for name, metadata, pod in pod_templates(resources):
            yield f"{folder}: {name}", metadata, pod


def quantity(text: str | int) -> float:
    """A Kubernetes quantity as a number of cores or bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|Mi|Gi|)", str(text))
    assert found, text
    return float(found[1]) * UNITS[found[2]]


@pytest.mark.parametrize("which", ["neutral", "site"])
def test_each_resource_fits_its_schema(which: str, request: pytest.FixtureRequest) -> None:
    kinds = set()
    for resource in everything(request.getfixturevalue(which)):
        kinds.add(resource["kind"])
        if resource["kind"] not in SCHEMALESS:
            check_schema(resource)
    assert kinds >= SCHEMALESS | {"StatefulSet", "Deployment", "PersistentVolumeClaim", "NetworkPolicy"}


def test_pods_are_restricted_as_the_standard_says(site: Built) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, profile Restricted."""
    for name, _, pod in pods(site):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        for volume in pod.get("volumes") or []:
            assert set(volume) - {"name"} <= VOLUMES, (name, volume)
        common = pod.get("securityContext") or {}
        assert not common.get("sysctls"), name
        for container in containers(pod):
            own = container["securityContext"]
            effective = common | own
            where = f"{name}/{container['name']}"
            assert effective["runAsNonRoot"] is True, where
            assert effective["runAsUser"] > 0, where
            assert effective["seccompProfile"] == {"type": "RuntimeDefault"}, where
            assert own["allowPrivilegeEscalation"] is False, where
            assert own["readOnlyRootFilesystem"] is True, where
            assert own["capabilities"] == {"drop": ["ALL"]}, where
            assert not own.get("privileged") and "procMount" not in own, where
            assert all("hostPort" not in port for port in container.get("ports", [])), where


def test_every_namespace_of_ours_is_restricted_and_shut(site: Built) -> None:
    resources = everything(site)
    namespaces = [r for r in resources if r["kind"] == "Namespace"]
    shut = {
        r["metadata"]["namespace"]
        for r in resources
        if r["kind"] == "NetworkPolicy"
        and r["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    for namespace in namespaces:
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert labels["pod-security.kubernetes.io/enforce-version"] == f"v{KUBERNETES}"
    names = {namespace["metadata"]["name"] for namespace in namespaces}
    assert names >= {"rookery", "rookery-workflows", "digits-production"}
    assert shut == names | {"argo", "argocd"}
    assert {r["metadata"]["namespace"] for r in resources if "namespace" in r["metadata"]} <= shut


def test_no_pod_gets_a_token_but_those_that_ask_the_kubernetes_api(site: Built) -> None:
    for resource in everything(site):
        if resource["kind"] == "ServiceAccount":
            watches = resource["metadata"]["name"] == "rookery-deliver"
            assert resource["automountServiceAccountToken"] is watches, resource["metadata"]
    for name, _, pod in pods(site):
        if "WorkflowTemplate" not in name:
            account = pod.get("serviceAccountName", "")
            assert pod["automountServiceAccountToken"] is (account in ASKS_KUBERNETES), name
            assert account in {"", "serve", *ASKS_KUBERNETES}, name
            assert pod["enableServiceLinks"] is False, name


def test_requests_limits_and_probes(site: Built) -> None:
    for name, _, pod in pods(site):
        for container in containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys() & resources["limits"].keys(), name
        if "WorkflowTemplate" not in name and "Job" not in name:
            for container in pod["containers"]:
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    assert container[probe].keys() & {"httpGet", "exec", "tcpSocket"}, (name, probe)


def test_every_scratch_folder_has_an_end(site: Built) -> None:
    for name, _, pod in pods(site):
        for volume in pod.get("volumes") or []:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], (name, volume)


def asked(resources: list[Resource]) -> tuple[float, float]:
    """Cores and bytes that are asked for, with one pod for each replica."""
    cpu = memory = 0.0
    for resource in resources:
        if resource["kind"] in ("Deployment", "StatefulSet"):
            for container in resource["spec"]["template"]["spec"]["containers"]:
                requests = container["resources"]["requests"]
                cpu += resource["spec"]["replicas"] * quantity(requests["cpu"])
                memory += resource["spec"]["replicas"] * quantity(requests["memory"])
    return cpu, memory


def test_the_whole_platform_fits_three_small_nodes(site: Built) -> None:
    """A node of two cores has room for more than a third of it; where people label, it is that much more."""
    labelling = {"k8s/platform/labels", "k8s/platform/label-studio"}
    cpu, memory = asked([r for folder, each in site.items() if folder not in labelling for r in each])
    assert cpu <= 1.5
    assert memory <= 5 * 2**30
    cpu, memory = asked([r for folder in labelling for r in site[folder]])
    assert cpu <= 0.1
    assert memory <= 0.75 * 2**30


def test_a_volume_has_one_writer(site: Built) -> None:
    claims = {r["metadata"]["name"]: r for r in everything(site) if r["kind"] == "PersistentVolumeClaim"}
    used = []
    for resource in everything(site):
        if resource["kind"] not in ("Deployment", "StatefulSet"):
            continue
        spec = resource["spec"]["template"]["spec"]
        for volume in spec.get("volumes") or []:
            if "persistentVolumeClaim" in volume:
                used.append(volume["persistentVolumeClaim"]["claimName"])
                assert resource["spec"]["replicas"] == 1
                if resource["kind"] == "Deployment":
                    assert resource["spec"]["strategy"] == {"type": "Recreate"}
    assert sorted(used) == sorted(claims)
    for claim in claims.values():
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert claim["spec"]["storageClassName"] == "fast"
        assert "Prune=false" in claim["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]


def images(built: Built) -> list[str]:
    references = [container["image"] for _, _, pod in pods(built) for container in containers(pod)]
    settings = one(built["k8s/pipeline/workflows"], "ConfigMap", "rookery")["data"]
    return [*references, settings["ROOKERY_SERVING_BASE"]]


def test_a_site_runs_every_image_by_digest(site: Built) -> None:
    for image in images(site):
        assert re.fullmatch(r"registry\.(example|rookery\.svc):5000/[a-z/]+@sha256:[0-9a-f]{64}", image), (
            image
        )


def test_the_repository_itself_names_no_registry(neutral: Built) -> None:
    names = set()
    for image in images(neutral):
        assert "@" not in image and not re.match(r"[^/]*[.:][^/]*/", image), image
        names.add(image.partition(":")[0])
    assert names == {*IMAGES, "rookery/model"} - {GATEWAY_IMAGE}


def test_selectors_find_pods(site: Built) -> None:
    labels = [
        (r["metadata"]["namespace"], r["spec"]["template"]["metadata"]["labels"])
        for r in everything(site)
        if r["kind"] in ("Deployment", "StatefulSet")
    ]
    for resource in everything(site):
        if resource["kind"] == "Service":
            selector = resource["spec"]["selector"].items()
            namespace = resource["metadata"]["namespace"]
            found = [own for place, own in labels if place == namespace and selector <= own.items()]
            assert len(found) == 1, resource["metadata"]
        if resource["kind"] in ("Deployment", "StatefulSet"):
            own = resource["spec"]["template"]["metadata"]["labels"]
            assert resource["spec"]["selector"]["matchLabels"].items() <= own.items()


def test_people_come_in_at_the_edges_alone(site: Built, neutral: Built) -> None:
    ports = {}
    for resource in everything(site):
        if resource["kind"] == "Service":
            assert resource["spec"].get("type", "ClusterIP") == "ClusterIP"
            edge = resource["metadata"]["labels"].get("rookery/edge") == "true"
            assert resource["spec"].get("externalIPs") == (["192.168.1.11"] if edge else None)
            if edge:
                name = f"{resource['metadata']['namespace']}/{resource['metadata']['name']}"
                ports[name] = [port["port"] for port in resource["spec"]["ports"]]
    assert ports == {
        "rookery/mlflow-edge": [8000],
        "rookery/minio-edge": [9001],
        "rookery/git-edge": [3080],
        "rookery/board-edge": [8085],
        "rookery/labels-edge": [9098],
        "rookery/label-studio-edge": [5000],
        "rookery/prometheus-edge": [4000],
        "rookery/grafana-edge": [3000],
        "digits-staging/edge": [8081],
        "digits-canary/edge": [8080],
        "digits-production/edge": [80],
        "birds-staging/edge": [8181],
        "birds-canary/edge": [8180],
        "birds-production/edge": [8182],
    }
    assert not any(r["spec"].get("externalIPs") for r in everything(neutral) if r["kind"] == "Service")
