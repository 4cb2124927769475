"""What the playbooks make for a gateway: the few things of it that belong to no namespace, and the site's facts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.support import ANSIBLE, ROOT, load, run
from tests.ansible.test_site_facts import facts
from tests.support.gateway_api import definitions, problems
from tests.support.manifests import FACTS, WITH_GATEWAY

HERE = Path(__file__).parent


def render(folder: Path, gateway: bool) -> tuple[list[dict[str, Any]], Any]:
    """The objects of the cluster, and the fact."""
    extra = {"roles_folder": str(ANSIBLE / "roles"), "rendered": str(folder), "gateway": gateway}
    (folder / "settings.yml").write_text(yaml.safe_dump(extra))
    inventory = str(HERE / "three/hosts.yml")
    done = run(
        "ansible-playbook", "-i", inventory, "-e", f"@{folder / 'settings.yml'}", str(HERE / "gateway.yml")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return list(yaml.safe_load_all((folder / "cluster.yaml").read_text())), load(folder / "fact.yaml")


def test_accounts_of_gateways_may_see_names_and_classes(tmp_path: Path) -> None:
    (group, role, binding), _ = render(tmp_path, True)
    assert problems(group) == []
    (manifest,) = yaml.safe_load_all((ROOT / "k8s/serve/gateway/gateway.yaml").read_text().split("---")[0])
    assert group["metadata"]["name"] == manifest["spec"]["gatewayClassName"]
    granted = {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert granted == {
        *(("namespaces", verb) for verb in ("list", "watch")),
        *(("gatewayclasses", verb) for verb in ("list", "watch")),
        ("gatewayclasses/status", "update"),
    }
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [(s["name"], s["namespace"]) for s in binding["subjects"]] == [
        ("gateway", "digits-canary"),
        ("gateway", "digits-production"),
    ]


@pytest.mark.parametrize("gateway", [True, False])
def test_the_facts_say_whether_there_is_one(gateway: bool, tmp_path: Path) -> None:
    _, fact = render(tmp_path, gateway)
    wanted = FACTS | (WITH_GATEWAY if gateway else {})
    assert fact == wanted["gateway"]
    (way_in,) = facts(tmp_path, gateway=gateway)["values"]["way-in"].items()
    assert way_in == (wanted["way-in"][0]["path"], wanted["way-in"][0]["value"])


def test_the_definitions_are_those_that_the_sums_are_of() -> None:
    defaults = load(ANSIBLE / "roles/settings/defaults/main.yml")
    found = {
        path.stem.partition("_")[2]: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in definitions().glob("gateway.*.yaml")
    }
    assert found == defaults["gateway_api_checksums"]
    assert f"sigs.k8s.io/gateway-api@v{defaults['gateway_api_version']}" in str(definitions())


def test_its_image_is_that_of_the_manifest() -> None:
    image = load(ANSIBLE / "roles/settings/defaults/main.yml")["traefik_image"]
    manifest = (ROOT / "k8s/serve/gateway/deployment.yaml").read_text()
    assert f"image: {image.removeprefix('docker.io/library/')}\n" in manifest
