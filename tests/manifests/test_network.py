"""Who reaches whom, worked out from the NetworkPolicies of a site: the table is complete, all else is shut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.manifests.conftest import Built
from tests.support.manifests import Resource, pod_templates
from tests.support.network import Place, may_reach, selects

DNS = {"kube-dns:53", "kube-dns:53/udp"}
API = {"control-plane:6443"}
GIT = {"git:8080", "git-host:80", "git-host:443"}
SERVED = {f"{a}-{e}/serve:8080" for a in ("digits", "birds") for e in ("staging", "canary", "production")}

ALLOWED: dict[str, set[str]] = {
    "step": {"mlflow:8000", "train:9090", "evaluate:8080", "registry:5000"}
    | {"monitor:9095", "arbiter:9096", "notify:9097"}
    | SERVED
    | {"train-host:9090", "train-host:8080", "image-host:443", "image-host:5000"}
    | GIT
    | DNS
    | API,
    "evaluate": {"mlflow:8000", "minio:9000"} | DNS,
    "monitor": {"minio:9000", "arbiter:9096", "notify:9097"} | DNS,
    "labels": {"minio:9000", "label-studio:5000", "arbiter:9096", "notify:9097"} | DNS,
    "label-studio": {"postgres:5432"} | DNS,
    "arbiter": {"postgres:5432", "mlflow:8000", "train:9090", "notify:9097", "train-host:9090"}
    | GIT
    | DNS
    | API,
    "board": {"mlflow:8000", "train:9090", "evaluate:8080", "registry:5000", "train-host:9090"}
    | {"monitor:9095", "arbiter:9096", "notify:9097", "labels:9098"}
    | SERVED
    | GIT
    | DNS
    | API,
    "notify": {"notify-host:25", "notify-host:443", "notify-host:587"} | DNS,
    "observe": {"mlflow:8000"} | GIT | SERVED | DNS,
    "prometheus": {"train:9090", "evaluate:8080", "monitor:9095", "arbiter:9096", "notify:9097", "board:8085"}
    | {"observe:9099", "alertmanager:9093", "labels:9098"}
    | SERVED
    | DNS,
    "alertmanager": {"notify:9097"} | DNS,
    "grafana": {"prometheus:9090"} | DNS,
    "train": {"mlflow:8000", "minio:9000"} | DNS,
    "mlflow": {"postgres:5432", "minio:9000"} | DNS,
    "git": {"argocd-server:8080"} | DNS,
    "accounts": {"minio:9000"} | DNS,
    "postgres": set(),
    "minio": set(),
    "registry": set(),
    **{place.partition(":")[0]: {"monitor:9095"} | DNS for place in SERVED},
    **{
        f"{a}-production/serve": {"monitor:9095", f"{a}-canary/serve:8080"} | DNS for a in ("digits", "birds")
    },
    "argocd-repo-server": GIT | DNS | API,
    "argocd-application-controller": GIT | DNS | API,
    "argocd-applicationset-controller": GIT | DNS | API,
    "argocd-server": GIT | DNS | API,
    "argocd-redis": DNS | API,
    "workflow-controller": DNS | API,
    "stranger-pod": set(),
    "kube-dns": set(),
    "client": {"mlflow:8000", "minio:9001", "git:8080", "prometheus:9090", "grafana:3000", "board:8085"}
    | {"labels:9098", "label-studio:5000"}
    | SERVED,
    "node": {"registry:5000"},
    "control-plane": {"registry:5000"},
    "train-host": set(),
    "git-host": set(),
    "image-host": set(),
    "notify-host": set(),
    "stranger": set(),
}
"""A pod or address → what it reaches."""

OUTSIDE = {
    "client": Place("client", "10.20.3.4"),
    "node": Place("node", "192.168.1.12"),
    "control-plane": Place("control-plane", "192.168.1.11", ports=(6443,)),
    "train-host": Place("train-host", "192.168.7.7", ports=(22, 8080, 9090)),
    "git-host": Place("git-host", "203.0.113.5", ports=(22, 80, 443)),
    "image-host": Place("image-host", "203.0.113.6", ports=(22, 443, 5000)),
    "notify-host": Place("notify-host", "203.0.113.7", ports=(22, 25, 443, 587)),
    "stranger": Place("stranger", "198.51.100.9", ports=(25, 443)),
}
ARGOCD = (
    *("argocd-server", "argocd-repo-server", "argocd-application-controller"),
    *("argocd-applicationset-controller", "argocd-redis"),
)


def namespace_labels(site: Built) -> dict[str, dict[str, str]]:
    found = {
        r["metadata"]["name"]: r["metadata"]["labels"]
        for rs in site.values()
        for r in rs
        if r["kind"] == "Namespace"
    }
    for name in ("kube-system", "argocd", "argo", "elsewhere"):
        found[name] = {}
    return {name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in found.items()}


def places(site: Built) -> Iterator[Place]:
    """Every pod of ours, the pods of others that ours speak with, one that is nobody's, and addresses outside."""
    yield from OUTSIDE.values()
    spaces = namespace_labels(site)
    addresses = (f"10.244.0.{number}" for number in range(2, 250))

    def pod(
        name: str, namespace: str, labels: dict[str, str], *ports: int, udp: tuple[int, ...] = ()
    ) -> Place:
        return Place(name, next(addresses), namespace, labels, spaces[namespace], ports, udp)

    for resources in site.values():
        for workload in (r for r in resources if r["kind"] in ("Deployment", "StatefulSet", "Job")):
            (_, metadata, spec), *_ = pod_templates([workload])
            ports = [port["containerPort"] for c in spec["containers"] for port in c.get("ports", [])]
            namespace, called = workload["metadata"]["namespace"], workload["metadata"]["name"]
            full = called if namespace == "rookery" else f"{namespace}/{called}"
            yield pod(full, namespace, metadata["labels"], *ports, 22)
    name = "app.kubernetes.io/name"
    yield pod("step", "rookery-workflows", {"workflows.argoproj.io/workflow": "train-model-1"}, 2746)
    yield pod("kube-dns", "kube-system", {"k8s-app": "kube-dns"}, 53, 9153, udp=(53,))
    for part in ARGOCD:
        yield pod(part, "argocd", {name: part}, *((8080,) if part == "argocd-server" else ()))
    yield pod("workflow-controller", "argo", {"app": "workflow-controller"}, 9090)
    yield pod("stranger-pod", "elsewhere", {name: "mlflow"}, 8080)


def policies(site: Built) -> list[Resource]:
    return [r for resources in site.values() for r in resources if r["kind"] == "NetworkPolicy"]


def test_the_table_is_all_that_passes(site: Built) -> None:
    everywhere, found = list(places(site)), policies(site)
    reached: dict[str, list[set[str]]] = {}
    for source in everywhere:
        reaches = set()
        for target in (t for t in everywhere if t is not source and (source.namespace or t.namespace)):
            reaches |= {
                f"{target.name}:{p}" for p in target.ports if may_reach(found, source, target, p, "TCP")
            }
            reaches |= {
                f"{target.name}:{p}/udp" for p in target.udp if may_reach(found, source, target, p, "UDP")
            }
        reached.setdefault(source.name, []).append(reaches)
    assert reached.keys() == ALLOWED.keys()
    # A pod of nobody's namespace, and what is outside, may go where it likes but to us.
    inside = {p.name for p in everywhere if p.namespace not in ("", "kube-system", "elsewhere")}
    for name, each in reached.items():
        for reaches in each:
            counted = reaches if name in inside else {p for p in reaches if p.partition(":")[0] in inside}
            assert counted == ALLOWED[name], name


def test_every_opening_says_to_whom_and_on_which_port(site: Built) -> None:
    for one in policies(site):
        for direction, end in (("ingress", "from"), ("egress", "to")):
            for rule in one["spec"].get(direction, []):
                where = f"{one['metadata']['namespace']}/{one['metadata']['name']}"
                assert rule[end] and all(rule[end]), where
                assert where == "argocd/inside" or all("port" in port for port in rule["ports"]), where


def test_before_a_site_says_who_may_come_nobody_may(neutral: Built) -> None:
    found = policies(neutral)
    for source in OUTSIDE.values():
        for target in (place for place in places(neutral) if place.namespace not in ("", "elsewhere")):
            if target.name != "kube-dns":
                assert not any(may_reach(found, source, target, port, "TCP") for port in target.ports)


def policy(**spec: object) -> Resource:
    return {"metadata": {"namespace": "a"}, "spec": spec}


A, B = (
    Place("a", "10.0.0.1", "a", {"x": "1"}, {"n": "a"}),
    Place("b", "10.0.0.2", "b", {"x": "2"}, {"n": "b"}),
)
HERE = {"podSelector": {"matchLabels": {"x": "1"}}}
HOLE = {"cidr": "10.0.0.0/24", "except": ["10.0.0.2/32"]}
THERE = {"namespaceSelector": {"matchLabels": {"n": "b"}}}


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ([], True),
        ([policy(podSelector={}, policyTypes=["Ingress"])], False),
        ([policy(podSelector={}, policyTypes=["Egress"])], True),
        ([policy(podSelector={"matchLabels": {"x": "2"}}, policyTypes=["Ingress"])], True),
        ([policy(podSelector={}, policyTypes=["Ingress"], ingress=[{}])], True),
        ([policy(podSelector={}, policyTypes=["Ingress"], ingress=[{"from": [HERE]}])], False),
        ([policy(podSelector={}, policyTypes=["Ingress"], ingress=[{"from": [THERE]}])], True),
        ([policy(podSelector={}, policyTypes=["Ingress"], ingress=[{"from": [THERE | HERE]}])], False),
        ([policy(podSelector={}, policyTypes=["Ingress"], ingress=[{"from": [HERE, THERE]}])], True),
        ([policy(podSelector={}, policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {}}]}])], False),
        ([policy(podSelector={}, ingress=[{"ports": [{"port": 80, "endPort": 90}]}])], True),
        ([policy(podSelector={}, ingress=[{"ports": [{"port": 80}]}])], False),
        ([policy(podSelector={}, ingress=[{"ports": [{"port": 85, "protocol": "UDP"}]}])], False),
        ([policy(podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}]}])], True),
        (
            [policy(podSelector={}, ingress=[{"from": [{"ipBlock": HOLE}]}])],
            False,
        ),
        ([policy(podSelector={}, policyTypes=["Ingress"]), policy(podSelector={}, ingress=[{}])], True),
    ],
)  # fmt: skip
def test_the_evaluator_reads_policies_as_the_api_defines_them(given: list[Resource], passes: bool) -> None:
    assert may_reach(given, B, A, 85, "TCP") is passes


def test_selectors() -> None:
    labels = {"x": "1"}
    assert selects({}, labels) and selects({"matchLabels": {"x": "1"}}, labels)
    for operator, values, holds in (
        ("In", ["1", "2"], True),
        ("NotIn", ["1"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ):
        expression = {"key": "x", "operator": operator, "values": values}
        assert selects({"matchExpressions": [expression]}, labels) is holds
