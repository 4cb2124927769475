"""What a site says reaches whoever needs it, and every process knows what it is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from services.arbiter.settings import ArbiterSettings
from services.board.settings import BoardSettings
from services.common.notices import NoticeSettings
from services.data.store import ObjectStoreSettings
from services.evaluate.settings import EvaluateSettings
from services.git.settings import GitServerSettings
from services.labels.settings import LabelsSettings
from services.labels.sources import applications, base_source
from services.monitor.settings import MonitorSettings
from services.notify.settings import NotifySettings
from services.observe.settings import ObserveSettings
from services.studio.server import NEEDED
from services.tracking.settings import TrackingSettings
from services.train.settings import TrainSettings
from tests.manifests.conftest import Built
from tests.support.manifests import FACTS, ROOT, one
from workflows.release.images import open_images
from workflows.release.reference import RegistrySettings
from workflows.release.settings import GitSettings
from workflows.steps.settings import StepSettings


def test_the_facts_of_a_site_reach_their_places(site: Built) -> None:
    assert one(site["k8s/platform/registry"], "Service")["spec"]["clusterIP"] == "10.97.0.9"
    settings = one(site["k8s/pipeline/workflows"], "ConfigMap", "rookery")["data"]
    assert settings["ROOKERY_TRAIN_URL"] == "http://192.168.7.7:9090"
    tracking = one(site["k8s/platform/mlflow"], "ConfigMap")["data"]
    assert tracking["ROOKERY_TRACKING_ALLOWED_HOSTS"] == "mlflow.example:8000"
    text = yaml.safe_dump(site["k8s/argocd"])
    assert "https://git.example/rookery.git" in text and "http://git.rookery.svc" not in text
    assert "main" not in re.findall(r"(?:targetRevision|revision): (\S+)", text)


def test_templates_and_policies_are_all_synced(neutral: Built) -> None:
    rendered = {path.stem for path in (ROOT / "workflows/rendered").glob("*.yaml")}
    synced = [r for r in neutral["k8s/pipeline/workflows"] if r["kind"] == "WorkflowTemplate"]
    assert {template["metadata"]["name"] for template in synced} == rendered
    policies = one(neutral["k8s/pipeline/evaluate"], "ConfigMap", "policies")["data"]
    files = {path.parent.name: path.read_text() for path in (ROOT / "k8s/apps").glob("*/policy.yaml")}
    assert policies == {f"{name}.yaml": text for name, text in files.items()}


def test_the_labels_service_knows_every_application(neutral: Built, tmp_path: Path) -> None:
    maps = [r["metadata"]["name"] for r in neutral["k8s/pipeline/evaluate"] if r["kind"] == "ConfigMap"]
    assert maps == ["policies"]
    for name, text in one(neutral["k8s/platform/labels"], "ConfigMap", "applications")["data"].items():
        (tmp_path / name).write_text(text)
    known = [path.parent.name for path in (ROOT / "k8s/apps").glob("*/application.yaml")]
    assert applications(tmp_path) == sorted(known)
    assert {base_source(tmp_path, name) for name in known} == {
        base_source(ROOT / "k8s/apps", name) for name in known
    }


def test_label_studio_has_the_settings_that_it_needs_and_a_database_of_its_own(site: Built) -> None:
    (container,) = one(site["k8s/platform/label-studio"], "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    given = {variable["name"]: variable for variable in container["env"]}
    assert set(given) == {*NEEDED, "POSTGRE_PORT"}
    secret = {name for name in given if "value" not in given[name]}
    assert secret == {
        *("POSTGRE_PASSWORD", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN", "SECRET_KEY"),
    }
    role = given["POSTGRE_USER"]["value"]
    assert role == given["POSTGRE_NAME"]["value"]
    pod = one(site["k8s/platform/postgres"], "StatefulSet")["spec"]["template"]["spec"]
    (passwords,) = (v["secret"]["items"] for v in pod["volumes"] if v["name"] == "passwords")
    assert {"key": "label-studio", "path": role} in passwords


def test_the_address_for_those_who_label_is_the_sites(site: Built) -> None:
    maps = [r["data"] for r in site["k8s/platform/labels"] if r["kind"] == "ConfigMap"]
    (settings,) = (data for data in maps if "ROOKERY_LABELS_DATASETS" in data)
    assert settings["ROOKERY_LABELS_PUBLIC_URL"] == "http://labels.example"
    assert settings["ROOKERY_LABELS_STUDIO_PUBLIC_URL"] == "http://studio.example"


KNOWN = {
    "mlflow": ("TRACKING", TrackingSettings.model_fields),
    "evaluate": ("EVALUATE", EvaluateSettings.model_fields),
    "train": ("TRAIN", TrainSettings.model_fields),
    "git": ("GITSERVER", GitServerSettings.__dataclass_fields__),
    "monitor": ("MONITOR", MonitorSettings.model_fields),
    "arbiter": ("ARBITER", ArbiterSettings.model_fields),
    "board": ("BOARD", BoardSettings.model_fields),
    "labels": ("LABELS", LabelsSettings.model_fields),
    "notify": ("NOTIFY", NotifySettings.model_fields),
    "observe": ("OBSERVE", ObserveSettings.model_fields),
}
"""Container → prefix and settings of its process."""

SHARED = {
    f"ROOKERY_{prefix}_{name.upper()}"
    for prefix, model in (
        ("S3", ObjectStoreSettings),
        ("GIT", GitSettings),
        ("REGISTRY", RegistrySettings),
        ("NOTICES", NoticeSettings),
    )
    for name in model.model_fields
}
"""Variables that several processes read."""


@pytest.mark.parametrize("name", KNOWN)
def test_a_process_knows_every_variable_that_it_is_given(name: str, site: Built) -> None:
    folder = next(folder for folder in site if folder.endswith(f"/{name}"))
    prefix, fields = KNOWN[name]
    known = {f"ROOKERY_{prefix}_{field.upper()}" for field in fields}
    maps = {r["metadata"]["name"]: r["data"] for r in site[folder] if r["kind"] == "ConfigMap"}
    container = one(site[folder], "Deployment")["spec"]["template"]["spec"]["containers"][0]
    given = {variable["name"] for variable in container.get("env", [])}
    for source in container.get("envFrom", []):
        given |= set(maps.get(source.get("configMapRef", {}).get("name"), {}))
    ours = {variable for variable in given if variable.startswith("ROOKERY_")}
    assert ours & known
    assert ours <= known | SHARED
    for variable in container.get("env", []):
        if asked := variable.get("valueFrom", {}).get("configMapKeyRef"):
            assert maps[asked["name"]][asked["key"]]


def test_what_a_site_says_of_train_service_and_git_reaches_whoever_asks_them(site: Built) -> None:
    for name in ("arbiter", "board", "observe"):
        data = one(site[f"k8s/platform/{name}"], "ConfigMap")["data"]
        assert data["ROOKERY_TRAIN_URL"] == "http://192.168.7.7:9090"
        assert data["ROOKERY_GIT_REMOTE"] == "https://git.example/rookery.git"


def test_the_schedules_are_those_that_are_rendered(neutral: Built) -> None:
    found = {r["metadata"]["name"]: r for r in neutral["k8s/pipeline/schedules"]}
    assert found.keys() == {path.stem for path in (ROOT / "workflows/rendered/cron").glob("*.yaml")}
    for cron in found.values():
        assert cron["kind"] == "CronWorkflow"
        assert cron["metadata"]["namespace"] == "rookery-workflows"


def test_the_steps_know_every_setting(site: Built) -> None:
    settings = one(site["k8s/pipeline/workflows"], "ConfigMap", "rookery")["data"]
    known = {f"ROOKERY_{name.upper()}" for name in StepSettings.model_fields}
    known |= SHARED
    assert set(settings) <= known
    assert (
        settings["ROOKERY_ENVIRONMENT_URL"].format(application="a", environment="b") == "http://serve.a-b.svc"
    )


def test_the_git_server_lets_in_images_of_the_steps_registry_alone(site: Built) -> None:
    settings = one(site["k8s/pipeline/workflows"], "ConfigMap", "rookery")["data"]
    container = one(site["k8s/platform/git"], "Deployment")["spec"]["template"]["spec"]["containers"][0]
    given = {variable["name"]: variable.get("value") for variable in container["env"]}
    images = open_images(settings["ROOKERY_IMAGES"], Path("unused"))
    assert images.name("digits") == f"{given['ROOKERY_GITSERVER_IMAGES']}digits"


def test_the_playbook_writes_facts_that_the_manifests_read() -> None:
    written = yaml.safe_load((ROOT / "ansible/roles/site_facts/vars/main.yml").read_text())
    names = {*written["site_facts_networks"], *written["site_facts_values"], "settings", "folders", "gateway"}
    component = yaml.safe_load((ROOT / "k8s/site/kustomization.yaml").read_text())
    read = {patch["path"].removeprefix("facts/").removesuffix(".yaml") for patch in component["patches"]}
    assert names == read == {path.stem for path in (ROOT / "k8s/site/facts").iterdir()} == set(FACTS)
    for name, fact in written["site_facts_networks"].items():
        assert fact["path"] == FACTS[name][0]["path"]
    for name, values in written["site_facts_values"].items():
        assert set(values) == {operation["path"] for operation in FACTS[name]}
