"""What Argo CD follows: each folder by one application, in a project that allows what the folder holds and no more."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.manifests.conftest import Built
from tests.support.manifests import ROOT, Resource, one, overlays

CLUSTER_WIDE = {"Namespace"}
GROUPS = {"v1": ""}


def application(built: Built, folder: str) -> Resource:
    """The spec of the application that follows a folder."""
    spec: Resource = follower(built, folder)["spec"]
    return spec


def follower(built: Built, folder: str) -> Resource:
    """The application that follows a folder, or the template of it."""
    argocd = built["k8s/argocd"]
    if folder == "k8s/argocd":
        return one(argocd, "Application")
    sets = [
        each["spec"]["template"]
        for each in argocd
        if each["kind"] == "ApplicationSet"
        and any(
            fnmatchcase(folder, d["path"]) and folder.count("/") == d["path"].count("/")
            for d in each["spec"]["generators"][0]["git"]["directories"]
        )
    ]
    assert len(sets) == 1, folder
    found: Resource = sets[0]
    return found


@pytest.mark.parametrize("folder", [str(folder) for folder in overlays()])
def test_a_folder_holds_only_what_its_project_allows(folder: str, neutral: Built) -> None:
    spec = application(neutral, folder)
    project = one(neutral["k8s/argocd"], "AppProject", spec["project"])["spec"]
    assert project["sourceRepos"] == [spec["source"]["repoURL"]]
    wide = {(kind["group"], kind["kind"]) for kind in project.get("clusterResourceWhitelist", [])}
    inside = {(kind["group"], kind["kind"]) for kind in project["namespaceResourceWhitelist"]}
    places = [place["namespace"] for place in project["destinations"]]
    assert not {"*", "kube-system", "default"} & set(places)
    for resource in neutral[folder]:
        group, _, version = resource["apiVersion"].rpartition("/")
        assert version
        kind = (group, resource["kind"])
        if resource["kind"] in CLUSTER_WIDE:
            assert kind in wide, (folder, kind)
            namespace = resource["metadata"]["name"]
        else:
            assert kind in inside, (folder, kind)
            namespace = resource["metadata"]["namespace"]
        assert any(fnmatchcase(namespace, place) for place in places), (folder, namespace)


def test_projects_allow_nothing_that_no_folder_needs(neutral: Built) -> None:
    spare = {"HorizontalPodAutoscaler", "Gateway", "HTTPRoute", "ReferenceGrant"}
    for project in (r for r in neutral["k8s/argocd"] if r["kind"] == "AppProject"):
        name = project["metadata"]["name"]
        followed = [f for f in neutral if application(neutral, f)["project"] == name]
        used = {resource["kind"] for folder in followed for resource in neutral[folder]}
        spec = project["spec"]
        allowed = {
            kind["kind"]
            for kind in [*spec["namespaceResourceWhitelist"], *spec.get("clusterResourceWhitelist", [])]
        }
        assert allowed - used <= spare, name


def test_the_project_that_argo_cd_brings_allows_nothing(site: Built) -> None:
    spec = dict(one(site["k8s/argocd"], "AppProject", "default")["spec"])
    assert spec.pop("description")
    wide = ("sourceRepos", "destinations", "clusterResourceWhitelist", "namespaceResourceWhitelist")
    assert spec == {name: [] for name in wide}
    followers = [r for r in site["k8s/argocd"] if r["kind"] in {"Application", "ApplicationSet"}]
    assert followers
    for resource in followers:
        template = resource["spec"].get("template", resource)
        assert template["spec"]["project"] != "default"


@pytest.mark.parametrize("folder", ["k8s/argocd", "k8s/platform/minio", "k8s/apps/digits/canary"])
def test_a_commit_is_synced_by_itself_again_and_again(folder: str, neutral: Built) -> None:
    policy = application(neutral, folder)["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True}
    assert policy["retry"]["limit"] == -1 and policy["retry"]["refresh"] is True
    assert policy["retry"]["backoff"]["maxDuration"] == "1m"


def test_names_of_applications_follow_folders(neutral: Built) -> None:
    sets = {r["metadata"]["name"]: r["spec"] for r in neutral["k8s/argocd"] if r["kind"] == "ApplicationSet"}
    environments = sets["environments"]["template"]
    segments = "{{index .path.segments 2}}-{{index .path.segments 3}}"
    assert environments["metadata"]["name"] == environments["spec"]["destination"]["namespace"] == segments
    assert sets["platform"]["template"]["metadata"]["name"] == "{{.path.basename}}"
    assert sets["platform"]["syncPolicy"]["preserveResourcesOnDeletion"] is True
    names = [str(folder).rpartition("/")[2] for folder in overlays() if "apps" not in str(folder)]
    assert len(names) == len(set(names))


def files_of(folder: Path) -> set[Path]:
    """Every file that kustomize reads for a folder, the folders that it includes in the same way."""
    description = next(path for path in folder.glob("kustomization.y*ml"))
    content = yaml.safe_load(description.read_text())
    found = {description}
    named = [
        *content.get("resources", []),
        *content.get("components", []),
        *content.get("configurations", []),
    ]
    named += [patch["path"] for patch in content.get("patches", []) if "path" in patch]
    for generator in content.get("configMapGenerator", []):
        named += [name.rpartition("=")[2] for name in generator.get("files", [])]
    for name in named:
        path = (folder / name).resolve()
        found |= files_of(path) if path.is_dir() else {path}
    return found


def watched(template: Resource, folder: str) -> list[str]:
    """The paths of the annotation, with the choices by the folder's name made as Argo CD makes them."""
    text = template["metadata"]["annotations"]["argocd.argoproj.io/manifest-generate-paths"]

    def choose(found: re.Match[str]) -> str:
        return found[2] if folder.rpartition("/")[2] == found[1] else ""

    text = re.sub(r'\{\{if\s+eq \.path\.basename "(\w+)"\}\}(.*?)\{\{end\}\}', choose, text)
    assert "{{" not in text
    return [path.lstrip("/") if path != "." else folder for path in text.split(";")]


@pytest.mark.parametrize("folder", [str(folder) for folder in overlays()])
def test_a_push_that_touches_a_folder_is_noticed(folder: str, neutral: Built) -> None:
    paths = watched(follower(neutral, folder), folder)
    files = {str(path.relative_to(ROOT)) for path in files_of(ROOT / folder)}
    assert f"{folder}/kustomization.yaml" in files and "k8s/site/facts/settings.yaml" in files
    for file in files:
        assert any(file == path or file.startswith(f"{path}/") or Path(file).match(path) for path in paths), (
            file
        )


def test_a_release_is_nothing_to_the_platform(neutral: Built) -> None:
    released = Path("k8s/apps/digits/staging/release/kustomization.yaml")
    noticed = {
        folder
        for folder in neutral
        if any(
            str(released).startswith(f"{path}/") or released.match(path)
            for path in watched(follower(neutral, folder), folder)
        )
    }
    assert noticed == {"k8s/apps/digits/staging"}
