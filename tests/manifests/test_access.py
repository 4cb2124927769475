"""Who may ask the Kubernetes API for what: the whole of it, as a table."""

from __future__ import annotations

from tests.manifests.conftest import Built

RESULTS = ("argoproj.io", "workflowtaskresults", "", "create patch")
ROLLOUT = {
    ("apps", "deployments", "serve", "get"),
    ("apps", "replicasets", "", "get list"),
    ("", "pods", "", "get list"),
}
APPLICATIONS = {("argoproj.io", "applications", "", "get list")}
ENVIRONMENTS = [f"{a}-{e}" for a in ("digits", "birds") for e in ("staging", "canary", "production")]

FOLLOWING = {("", "pods", "", "list"), ("", "pods/log", "", "get")}
"""What whoever shows why a workflow failed must see."""

GRANTED = {
    ("rookery/arbiter", "rookery-workflows"): {
        ("argoproj.io", "workflowtemplates", "train-model", "get"),
        ("argoproj.io", "workflows", "", "create get list"),
        *FOLLOWING,
    },
    ("rookery/board", "rookery-workflows"): {
        ("argoproj.io", "workflowtemplates", "", "get list"),
        ("argoproj.io", "workflows", "", "create get list patch"),
        ("", "configmaps", "rookery", "get"),
        *FOLLOWING,
    },
    ("rookery/board", "argocd"): APPLICATIONS,
    **{("rookery/board", namespace): ROLLOUT for namespace in ENVIRONMENTS},
    ("rookery-workflows/rookery-workflow", "rookery-workflows"): {RESULTS},
    ("rookery-workflows/rookery-deliver", "argocd"): APPLICATIONS,
    **{("rookery-workflows/rookery-deliver", namespace): ROLLOUT for namespace in ENVIRONMENTS},
}
"""Account and namespace → group, resource, names and verbs."""

Rules = set[tuple[str, str, str, str]]


def rules(role: dict[str, object]) -> Rules:
    found = set()
    for rule in role["rules"]:  # type: ignore[attr-defined]
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                names = " ".join(rule.get("resourceNames", []))
                found.add((group, resource, names, " ".join(rule["verbs"])))
    return found


def test_accounts_have_what_they_need_and_nothing_else(site: Built) -> None:
    resources = [resource for each in site.values() for resource in each]
    assert not {"ClusterRole", "ClusterRoleBinding"} & {resource["kind"] for resource in resources}
    roles = {
        (r["metadata"]["namespace"], r["metadata"]["name"]): rules(r)
        for r in resources
        if r["kind"] == "Role"
    }
    granted: dict[tuple[str, str], Rules] = {}
    for binding in (r for r in resources if r["kind"] == "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        assert binding["roleRef"]["kind"] == "Role"
        for subject in binding["subjects"]:
            assert subject["kind"] == "ServiceAccount"
            account = f"{subject['namespace']}/{subject['name']}"
            granted.setdefault((account, namespace), set()).update(
                roles[namespace, binding["roleRef"]["name"]]
            )
    assert granted == GRANTED
    assert "*" not in str(granted)


def test_a_step_runs_under_one_of_the_two_accounts(site: Built) -> None:
    accounts = {
        account.rpartition("/")[2] for account, _ in GRANTED if account.startswith("rookery-workflows/")
    }
    for template in (r for r in site["k8s/pipeline/workflows"] if r["kind"] == "WorkflowTemplate"):
        used = {t.get("serviceAccountName") for t in template["spec"]["templates"]} - {None}
        assert {template["spec"]["serviceAccountName"], *used} <= accounts


def test_no_secret_is_in_git(neutral: Built) -> None:
    for resource in (r for each in neutral.values() for r in each):
        if resource["kind"] == "Secret":
            assert resource["type"] == "kubernetes.io/service-account-token"
            assert not {"data", "stringData"} & resource.keys()
