"""Every overlay is built, checked against the Kubernetes schemas, and held to what the design promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import ROOT, Files, Resource, build, check_schema, copy, one
from tests.support.release import evidence
from workflows.release.application import load_application, render_overlay
from workflows.release.component import component_path
from workflows.release.release import write_release
from workflows.release.tree import FolderTree

APPS = ROOT / "k8s/apps"
OVERLAYS = sorted((path.parent.parent.name, path.parent.name) for path in APPS.glob("*/*/kustomization.yaml"))


@pytest.fixture(params=OVERLAYS, ids="-".join)
def overlay(request: pytest.FixtureRequest) -> tuple[str, str]:
    place: tuple[str, str] = request.param
    return place


@pytest.fixture
def released(overlay: tuple[str, str], tmp_path: Path) -> list[Resource]:
    """The overlay as a release leaves it, and nothing else changed."""
    copy(tmp_path)
    application, environment = overlay
    name = f"rookery/{application}"
    write_release(
        Files(tmp_path), evidence(7, application=application, environment=environment, image_name=name)
    )  # type: ignore[arg-type]
    return build(tmp_path / "k8s/apps" / application / environment)


def test_every_environment_of_every_application_has_an_overlay() -> None:
    tree = FolderTree(ROOT)
    wanted = [
        (name, environment)
        for name in sorted(path.parent.name for path in APPS.glob("*/application.yaml"))
        for environment in load_application(tree, name).environments
    ]
    assert sorted(wanted) == OVERLAYS
    assert {"digits", "birds"} <= {name for name, _ in OVERLAYS}


def test_each_resource_fits_its_schema(overlay: tuple[str, str], released: list[Resource]) -> None:
    for resource in (*build(APPS.joinpath(*overlay)), *released):
        check_schema(resource)


def test_an_overlay_holds_facts_and_nothing_else(overlay: tuple[str, str]) -> None:
    content = yaml.safe_load((APPS.joinpath(*overlay) / "kustomization.yaml").read_bytes())
    facts = load_application(FolderTree(ROOT), overlay[0])
    port = json.loads(content["patches"][0]["patch"])[0]["value"]
    assert content == yaml.safe_load(render_overlay(facts, overlay[1], port))


def test_everything_lies_in_the_environments_namespace(
    overlay: tuple[str, str], released: list[Resource]
) -> None:
    namespace = "-".join(overlay)
    assert one(released, "Namespace")["metadata"]["name"] == namespace
    assert {r["metadata"]["namespace"] for r in released if r["kind"] != "Namespace"} == {namespace}
    labels = one(released, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_release_sets_the_image_by_digest_and_tells_the_server(
    overlay: tuple[str, str], released: list[Resource]
) -> None:
    proof = evidence(7)
    deployment = one(released, "Deployment", "serve")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"rookery/{overlay[0]}@{proof.image_digest}"
    assert deployment["spec"]["replicas"] == (2 if overlay[1] == "production" else 1)
    maps = {r["metadata"]["name"]: r["data"] for r in released if r["kind"] == "ConfigMap"}
    given: dict[str, str] = {}
    *sources, log = container["envFrom"]
    assert log == {"secretRef": {"name": "prediction-log", "optional": True}}
    for source in sources:
        given |= maps[source["configMapRef"]["name"]]
    assert given == {
        "ROOKERY_SERVE_APPLICATION": overlay[0],
        "ROOKERY_SERVE_ENVIRONMENT": overlay[1],
        **(
            {"ROOKERY_SERVE_SHADOW_URL": f"http://serve.{overlay[0]}-canary.svc"}
            if overlay[1] == "production"
            else {}
        ),
        "ROOKERY_SERVE_MODEL_VERSION": "7",
        "ROOKERY_SERVE_IMAGE_DIGEST": proof.image_digest,
    }


def test_the_server_knows_every_variable_that_it_is_given(released: list[Resource]) -> None:
    settings = pytest.importorskip("services.serve.settings").ServeSettings
    known = {f"ROOKERY_SERVE_{name.upper()}" for name in settings.model_fields}
    for config in (r for r in released if r["kind"] == "ConfigMap"):
        assert set(config["data"]) <= known


def test_nothing_runs_while_nothing_is_released(tmp_path: Path) -> None:
    copy(tmp_path)
    from workflows.release.component import EMPTY

    (tmp_path / component_path("digits", "canary")).write_bytes(EMPTY)
    resources = build(tmp_path / "k8s/apps/digits/canary")
    assert one(resources, "Deployment")["spec"]["replicas"] == 0


def test_the_autoscaler_owns_the_number_of_servers(tmp_path: Path) -> None:
    copy(tmp_path)
    path = tmp_path / "k8s/apps/digits/production/kustomization.yaml"
    path.write_text(path.read_text().replace("- release\n", "- ../../../serve/autoscaler\n"))
    resources = build(path.parent)
    assert "replicas" not in one(resources, "Deployment")["spec"]
    scaler = one(resources, "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "serve"
    check_schema(scaler)


def test_the_pod_is_restricted(released: list[Resource]) -> None:
    pod = one(released, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} <= {
        "emptyDir",
        "configMap",
        "secret",
    }
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert (
            set(container["resources"]["requests"])
            == set(container["resources"]["limits"])
            == {"cpu", "memory"}
        )
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] == "http"
    assert not pod.get("hostNetwork") and not pod.get("hostPID")


def test_selectors_find_the_pods_and_only_this_environments(
    overlay: tuple[str, str], released: list[Resource]
) -> None:
    labels = one(released, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one(released, "Service", "serve")["spec"]["selector"],
        one(released, "Service", "edge")["spec"]["selector"],
        one(released, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(released, "Deployment")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    assert selectors[0]["app.kubernetes.io/part-of"] == overlay[0]


def test_all_traffic_is_shut_but_to_the_port(released: list[Resource]) -> None:
    shut = one(released, "NetworkPolicy", "default-deny")["spec"]
    assert shut["podSelector"] == {} and shut["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in shut and "egress" not in shut
    opened = one(released, "NetworkPolicy", "serve")["spec"]
    assert "egress" not in opened
    log = one(released, "NetworkPolicy", "log")["spec"]
    assert log["policyTypes"] == ["Egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in log["egress"]] == [[9095], [53, 53]]
    port = one(released, "Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"][0][
        "containerPort"
    ]
    assert [rule["ports"] for rule in opened["ingress"]] == [[{"protocol": "TCP", "port": port}]]


def test_a_rollout_never_has_fewer_pods_than_before(released: list[Resource]) -> None:
    deployment = one(released, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    pod = deployment["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= pause + 10


def test_ports_on_one_machine_do_not_meet() -> None:
    tree = FolderTree(ROOT)
    ports = [
        port
        for name in {name for name, _ in OVERLAYS}
        for port in load_application(tree, name).ports.values()
    ]
    assert len(ports) == len(set(ports)) == len(OVERLAYS)
