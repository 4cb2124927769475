"""What the Argo roles lay over the installation manifests, from the settings alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.support import ANSIBLE, run

HERE = Path(__file__).parent
DAY = 86400


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """File of a role → its documents."""
    folder = tmp_path_factory.mktemp("rendered")
    templates = [str(path) for path in (ANSIBLE / "roles").glob("argo_*/templates/*.j2")]
    extra = ["-e", json.dumps({"templates": templates, "rendered": str(folder)})]
    done = run("ansible-playbook", "-i", str(HERE / "three/hosts.yml"), *extra, str(HERE / "argo.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: list(filter(None, yaml.safe_load_all(path.read_text()))) for path in folder.iterdir()}


def test_every_template_is_yaml(rendered: dict[str, list[dict[str, Any]]]) -> None:
    assert len(rendered) == len(list((ANSIBLE / "roles").glob("argo_*/templates/*.j2")))
    for name, documents in rendered.items():
        assert documents, name
        assert all(document["kind"] for document in documents), name


def test_a_workflow_that_is_over_does_not_stay_for_ever(rendered: dict[str, list[dict[str, Any]]]) -> None:
    (configuration,) = rendered["argo_workflows-configuration.yaml"]
    defaults = yaml.safe_load(configuration["data"]["workflowDefaults"])
    assert defaults == {
        "spec": {"ttlStrategy": {"secondsAfterSuccess": 14 * DAY, "secondsAfterCompletion": 60 * DAY}}
    }


def test_workflows_are_granted_their_rights_where_they_run(rendered: dict[str, list[dict[str, Any]]]) -> None:
    bindings = {
        (document["metadata"]["namespace"], document["roleRef"]["name"])
        for document in rendered["argo_workflows-access.yaml"]
        if document["kind"] == "RoleBinding"
    }
    assert bindings == {
        ("rookery-workflows", "argo-cluster-role"),
        ("rookery-workflows", "argo-server-cluster-role"),
        ("argo", "configuration"),
    }
    (kustomization,) = rendered["argo_workflows-kustomization.yaml"]
    dropped = [patch["target"]["name"] for patch in kustomization["patches"] if "target" in patch]
    assert dropped == ["argo-binding|argo-server-binding"]


def test_every_pod_of_argo_cd_has_bounds(rendered: dict[str, list[dict[str, Any]]]) -> None:
    for document in rendered["argo_cd-resources.yaml"]:
        (container,) = document["spec"]["template"]["spec"]["containers"]
        assert container["resources"].keys() == {"requests", "limits"}


def test_whoever_asks_its_health_rarely_is_asked_every_second_until_it_answers(
    rendered: dict[str, list[dict[str, Any]]],
) -> None:
    """Argo CD's server says of itself that it is ready every 30 seconds, Argo's every 20 after the first 10."""
    ports = {}
    for document in [*rendered["argo_cd-resources.yaml"], *rendered["argo_workflows-server.yaml"]]:
        (container,) = document["spec"]["template"]["spec"]["containers"]
        if probe := container.get("startupProbe"):
            assert probe["periodSeconds"] == 1
            assert container["readinessProbe"] == {"initialDelaySeconds": 1}
            ports[container["name"]] = probe["httpGet"]["port"]
    assert ports == {
        "argocd-application-controller": 8082,
        "argocd-repo-server": 8084,
        "argocd-server": 8080,
        "argo-server": 2746,
    }


def test_services_of_the_platform_submit_templates_and_the_arbiter_one(
    rendered: dict[str, list[dict[str, Any]]],
) -> None:
    policy, binding = rendered["argo_workflows-submitters.yaml"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    (asked,) = policy["spec"]["matchConditions"]
    assert "system:serviceaccount:rookery:" in asked["expression"]
    create, update, arbiter = (rule["expression"] for rule in policy["spec"]["validations"])
    assert "['workflowTemplateRef', 'arguments']" in create
    assert "['shutdown', 'suspend']" in update
    assert "'train-model'" in arbiter
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert binding["spec"]["matchResources"]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "rookery-workflows"}
    }
