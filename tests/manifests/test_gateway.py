"""A site with a gateway: live traffic comes by it, and a release says how much of it the canary gets."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.conftest import Built
from tests.manifests.test_access import rules
from tests.manifests.test_network import places, policies
from tests.support.gateway_api import GROUP, lacks, problems
from tests.support.manifests import (
    ROOT,
    WITH_GATEWAY,
    Resource,
    build,
    check_schema,
    one,
    pod_templates,
    sample_site,
)
from tests.support.network import Place, may_reach
from workflows.release.application import ApplicationFacts, render_overlay
from workflows.release.component import EMPTY, component_path
from workflows.release.share import MOST, has_gateway, with_share
from workflows.release.tree import FolderTree

APPLICATIONS = ("birds", "digits")
KINDS = {"Gateway", "HTTPRoute", "ReferenceGrant"}
READ = {
    *(("", kind, "", "list watch") for kind in ("services", "secrets", "configmaps")),
    ("discovery.k8s.io", "endpointslices", "", "list watch"),
    *(
        (GROUP, kind, "", "list watch")
        for kind in ("gateways", "httproutes", "grpcroutes", "referencegrants", "backendtlspolicies")
    ),
}


@pytest.fixture(params=APPLICATIONS)
def application(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def live(gated: Built, application: str) -> list[Resource]:
    return gated[f"k8s/apps/{application}/production"]


def gateway_parts(resources: list[Resource]) -> list[Resource]:
    return [r for r in resources if r["metadata"].get("labels", {}).get("rookery/gateway") == "true"]


def test_a_site_without_a_gateway_has_nothing_of_one(neutral: Built, site: Built) -> None:
    for built in (neutral, site):
        assert not [part for resources in built.values() for part in gateway_parts(resources)]
        for application in APPLICATIONS:
            edge = one(live(built, application), "Service", "edge")
            assert edge["spec"]["selector"]["app.kubernetes.io/name"] == "serve"
    assert not has_gateway(FolderTree(ROOT))


def test_a_site_with_one_has_it_before_live_traffic_alone(gated: Built, gateway_root: Path) -> None:
    assert has_gateway(FolderTree(gateway_root))
    for folder, resources in gated.items():
        for service in (r for r in resources if r["kind"] == "Service" and r["metadata"]["name"] == "edge"):
            wanted = "gateway" if folder.endswith("/production") else "serve"
            wave = service["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave")
            assert wave == ("1" if wanted == "gateway" else None)
            assert service["spec"]["selector"]["app.kubernetes.io/name"] == wanted
            assert (
                folder.partition("/apps/")[2].split("/")[0]
                == service["spec"]["selector"]["app.kubernetes.io/part-of"]
            )
        found = {r["kind"] for r in gateway_parts(resources)} & KINDS
        wanted_kinds = {"production": {"Gateway", "HTTPRoute"}, "canary": {"ReferenceGrant"}}
        assert found == (wanted_kinds.get(folder.rpartition("/")[2], set()) if "/apps/" in folder else set())


def test_each_resource_fits_its_schema_and_lacks_no_default(gated: Built) -> None:
    kinds = set()
    for resource in (r for resources in gated.values() for r in gateway_parts(resources)):
        if resource["apiVersion"].startswith(GROUP):
            kinds.add(resource["kind"])
            assert problems(resource) == []
            assert lacks(resource) == []
        else:
            check_schema(resource)
    assert kinds == KINDS


def test_the_schemas_refuse_what_is_wrong(gated: Built) -> None:
    route = json.loads(json.dumps(one(live(gated, "digits"), "HTTPRoute")))
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = -1
    route["spec"]["rules"][0]["weights"] = 3
    assert len(problems(route)) == 2
    del route["spec"]["rules"][0]["backendRefs"][0]["kind"]
    assert lacks(route) == ["spec.rules[0].backendRefs[0].kind"]


def test_the_route_leads_to_both_and_the_canary_lets_it_in(gated: Built, application: str) -> None:
    canary, production = f"{application}-canary", f"{application}-production"
    gateway, route = (one(live(gated, application), kind) for kind in ("Gateway", "HTTPRoute"))
    assert route["spec"]["parentRefs"][0]["name"] == gateway["metadata"]["name"]
    shared, to_canary, to_production, probe = route["spec"]["rules"]
    sides = [(b.get("namespace", production), b["name"], b["weight"]) for b in shared["backendRefs"]]
    assert sides == [(production, "serve", 100), (canary, "serve", 0)]
    for rule, space in ((to_canary, canary), (to_production, production)):
        (backend,) = rule["backendRefs"]
        assert backend.get("namespace", production) == space
        (header,) = rule["matches"][0]["headers"]
        assert header["name"] == "X-Rookery-Track" and space == f"{application}-{header['value']}"
    assert "backendRefs" not in probe
    grant = one(gated[f"k8s/apps/{application}/canary"], "ReferenceGrant")
    assert grant["metadata"]["namespace"] == canary
    assert grant["spec"]["from"] == [{"group": GROUP, "kind": "HTTPRoute", "namespace": production}]
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": "serve"}]


@pytest.mark.parametrize("percent", [1, 10, MOST])
def test_a_release_says_the_share(percent: int, tmp_path: Path) -> None:
    path = sample_site(tmp_path / "shared", WITH_GATEWAY) / component_path("digits", "production")
    path.write_bytes(with_share(path.read_bytes(), percent))
    shared = build(path.parents[1])
    without = build(sample_site(tmp_path / "not", WITH_GATEWAY) / "k8s/apps/digits/production")
    route = one(shared, "HTTPRoute")
    assert [b["weight"] for b in route["spec"]["rules"][0]["backendRefs"]] == [100 - percent, percent]
    assert [b["weight"] for rule in route["spec"]["rules"][1:3] for b in rule["backendRefs"]] == [1, 1]
    assert problems(route) == []
    assert [r for r in shared if r["kind"] != "HTTPRoute"] == [r for r in without if r["kind"] != "HTTPRoute"]


def test_a_share_is_nothing_to_a_site_without_a_gateway(tmp_path: Path) -> None:
    root = sample_site(tmp_path)
    path = root / component_path("digits", "production")
    path.write_bytes(with_share(path.read_bytes(), 10))
    assert "HTTPRoute" not in {r["kind"] for r in build(path.parents[1])}


def test_the_gateway_stays_while_nothing_is_released(tmp_path: Path) -> None:
    root = sample_site(tmp_path, WITH_GATEWAY)
    path = root / component_path("digits", "production")
    path.write_bytes(EMPTY)
    replicas = {
        r["metadata"]["name"]: r["spec"]["replicas"]
        for r in build(path.parents[1])
        if r["kind"] == "Deployment"
    }
    assert replicas == {"serve": 0, "gateway": 2}


def test_the_pods_know_their_ports_and_their_two_namespaces(gated: Built, application: str) -> None:
    resources = live(gated, application)
    deployment = one(resources, "Deployment", "gateway")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    arguments = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    watched = arguments["providers.kubernetesGateway.namespaces"].split(",")
    assert watched == [f"{application}-production", f"{application}-canary"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert arguments["entryPoints.web.address"] == f":{ports['http']}"
    assert arguments["entryPoints.ping.address"] == f":{ports['ping']}"
    gateway, route = one(resources, "Gateway"), one(resources, "HTTPRoute")
    assert [listener["port"] for listener in gateway["spec"]["listeners"]] == [ports["http"]]
    assert one(resources, "Service", "edge")["spec"]["ports"][0]["targetPort"] == "http"
    probe = container["readinessProbe"]["httpGet"]
    rule = route["spec"]["rules"][3]
    assert (probe["path"], probe["port"]) == (rule["matches"][0]["path"]["value"], "http")
    redirect = rule["filters"][0]["requestRedirect"]
    assert (redirect["port"], redirect["path"]["replaceFullPath"]) == (ports["ping"], "/ping")
    selector = one(resources, "Service", "edge")["spec"]["selector"]
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    serves = one(resources, "Deployment", "serve")["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= serves.items()


def test_the_pods_are_restricted(gated: Built, application: str) -> None:
    (pod,) = [
        spec for name, _, spec in pod_templates(live(gated, application)) if name == "Deployment/gateway"
    ]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys()
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= pause + 10


def test_the_gateway_reads_two_environments_and_writes_the_status_of_one(
    gated: Built, application: str
) -> None:
    account = f"{application}-production/gateway"
    granted = {}
    for folder, resources in gated.items():
        roles = {r["metadata"]["name"]: rules(r) for r in resources if r["kind"] == "Role"}
        for binding in (r for r in resources if r["kind"] == "RoleBinding"):
            accounts = {f"{s['namespace']}/{s['name']}" for s in binding["subjects"]}
            if account in accounts:
                assert len(accounts) == 1
                granted[folder.removeprefix("k8s/apps/")] = roles[binding["roleRef"]["name"]]
    status = {(GROUP, kind, "", "update") for kind in ("gateways/status", "httproutes/status")}
    assert granted == {f"{application}/production": READ | status, f"{application}/canary": READ}


def test_the_gateway_reaches_its_two_environments_and_nobody_else(gated: Built, application: str) -> None:
    everywhere, found = list(places(gated)), policies(gated)
    (source,) = [place for place in everywhere if place.name == f"{application}-production/gateway"]

    def reached_from(place: Place) -> set[str]:
        return {
            f"{target.name}:{port}"
            for target in everywhere
            if target is not place and (place.namespace or target.namespace)
            for port in target.ports
            if may_reach(found, place, target, port, "TCP")
        }

    both = {f"{application}-{environment}/serve:8080" for environment in ("production", "canary")}
    assert reached_from(source) >= both | {"control-plane:6443"}
    served = {place for place in reached_from(source) if "/serve:" in place or "/gateway:" in place}
    assert served == both
    client = next(place for place in everywhere if place.name == "client")
    assert f"{application}-production/gateway:8080" in reached_from(client)
    stranger = next(place for place in everywhere if place.name == "stranger-pod")
    assert not [name for name in reached_from(stranger) if "/gateway" in name or "/serve" in name]


def test_the_project_of_the_environments_allows_all_of_it(gated: Built) -> None:
    project = one(gated["k8s/argocd"], "AppProject", "rookery-environments")["spec"]
    allowed = {(kind["group"], kind["kind"]) for kind in project["namespaceResourceWhitelist"]}
    for folder in (folder for folder in gated if "/apps/" in folder):
        for part in gateway_parts(gated[folder]):
            group, _, _ = part["apiVersion"].rpartition("/")
            assert (group, part["kind"]) in allowed
            assert any(
                fnmatchcase(part["metadata"]["namespace"], d["namespace"]) for d in project["destinations"]
            )


def overlay(*environments: str) -> dict[str, list[str]]:
    """Environment → its components, for an application that has these."""
    content: dict[str, Any] = {
        "name": "a",
        "title": "A",
        "kind": "image",
        "data_source": "a",
        "model_name": "cnn",
    }
    facts = ApplicationFacts.model_validate({**content, "environments": environments})
    return {name: yaml.safe_load(render_overlay(facts, name, 80))["components"] for name in environments}


def test_the_last_two_environments_share_whatever_they_are_called() -> None:
    one_alone = overlay("only")["only"]
    assert "../../../serve/gateway" not in one_alone and "../../../serve/replicated" in one_alone
    four = overlay("dev", "test", "trial", "real")
    assert [name for name in four if "../../../serve/gateway" in four[name]] == ["real"]
    assert [name for name in four if "../../../serve/shared" in four[name]] == ["trial"]
    order = [place.rpartition("/")[2] for place in four["real"]]
    assert order == ["replicated", "edge", "copying", "gateway", "release", "site"]
    assert [name for name in four if "../../../serve/copied" in four[name]] == ["trial"]
