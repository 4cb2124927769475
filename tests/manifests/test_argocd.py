"""What Argo CD follows: each folder by one application, in a project that allows what the folder holds and no more."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from tests.manifests.conftest import Built
from tests.support.manifests import Resource, one, overlays

CLUSTER_WIDE = {"Namespace"}
GROUPS = {"v1": ""}


def application(built: Built, folder: str) -> Resource:
    """The spec of the application that follows a folder."""
    argocd = built["k8s/argocd"]
    if folder == "k8s/argocd":
        spec: Resource = one(argocd, "Application")["spec"]
        return spec
    sets = [
        each["spec"]["template"]["spec"]
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
    spare = {"HorizontalPodAutoscaler"}
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
