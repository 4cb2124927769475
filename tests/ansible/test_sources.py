"""Where things come from: pinned versions, the official hosts by default, and no other host anywhere."""

from __future__ import annotations

import re
from typing import Any

from tests.ansible.support import ANSIBLE, ROLES, load, tasks_of

DEFAULTS: dict[str, Any] = load(ANSIBLE / "roles/settings/defaults/main.yml")
OFFICIAL = {"dl.k8s.io", "github.com", "raw.githubusercontent.com"}
REGISTRIES = {"registry.k8s.io", "quay.io", "docker.io"}
SERVICE = ".rookery.svc"
"""What the names of our own Services end with."""
READ_ABOUT = {"kubernetes.io"}
"""Hosts of links for readers."""


def test_every_version_is_pinned() -> None:
    for name in (
        "kubernetes_version",
        "argo_workflows_version",
        "argo_cd_version",
        "rookery_version",
        "gateway_api_version",
    ):
        assert re.fullmatch(r"\d+\.\d+\.\d+", DEFAULTS[name]), name
    for name in ("postgres_image", "minio_image", "registry_image", "pause_image"):
        tag = DEFAULTS[name].rpartition(":")[2]
        assert re.search(r"\d", tag) and tag not in {"latest", "stable"}, name


def test_the_versions_are_those_that_the_test_machine_builds() -> None:
    from tests.cluster.binaries import VERSION

    for name, version in VERSION.items():
        assert DEFAULTS[f"{name.replace('-', '_')}_version"] == version


def test_the_image_version_is_that_of_the_package() -> None:
    text = (ANSIBLE.parent / "pyproject.toml").read_text()
    assert f'version = "{DEFAULTS["rookery_version"]}"' in text


def test_the_defaults_name_the_official_hosts_alone() -> None:
    text = (ANSIBLE / "roles/settings/defaults/main.yml").read_text()
    assert set(re.findall(r"https?://([^/\s{]+)", text)) == OFFICIAL
    images = [
        str(value) for name, value in DEFAULTS.items() if re.search("(image|_registry)$", name) and value
    ]
    assert {re.split("[/}]", image)[0] for image in images if not image.startswith("{{")} == REGISTRIES


def test_roles_name_no_host_that_is_not_a_setting() -> None:
    itself = {"127.0.0.1"}
    for role in (r for r in ROLES if r.name != "settings"):
        for path in (p for p in role.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            found = set(re.findall(r"https?://([a-z0-9][^/\s:'\"{}]*)", path.read_text()))
            assert {host for host in found if not host.endswith(SERVICE)} <= READ_ABOUT | itself, path


def test_the_packages_come_from_debian_and_ansible_fetches_nothing_else() -> None:
    text = "\n".join(p.read_text() for p in ANSIBLE.rglob("*.yml"))
    assert not re.search(r"\b(pip|npm|gem|galaxy|snap|community\.|kubernetes\.core)\b", text)
    assert not list(ANSIBLE.rglob("requirements.y*ml"))


def test_what_is_downloaded_is_checked() -> None:
    checks = {
        task["name"]: task["ansible.builtin.get_url"]["checksum"]
        for path in (ANSIBLE / "roles").glob("*/tasks/*.yml")
        for task in tasks_of(path)
        if "ansible.builtin.get_url" in task
    }
    assert "default('sha256:' ~" in checks.pop("The Kubernetes programs are downloaded and checked")
    settings = {re.findall(r"[a-z_]+_checksum", check)[0] for check in checks.values()}
    # A site names its pod network itself; the sum of Argo Workflows' file is of a release, not of a source.
    unknown = {"pod_network_checksum", "argo_workflows_manifest_checksum"}
    assert settings - unknown == {"argo_cd_manifest_checksum", "gateway_api_checksum"}
    for value in (DEFAULTS["argo_cd_manifest_checksum"], *DEFAULTS["gateway_api_checksums"].values()):
        assert re.fullmatch("sha256:[0-9a-f]{64}", value)
