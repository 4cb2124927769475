"""The committed YAML is what the Python says, and keeps the promises that hold for every template."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from services.train.hyperparameters import Hyperparameters
from workflows.render import CRON_FOLDER, RENDERED, rendered, rendered_crons, write

DOCUMENTS: dict[str, dict[str, Any]] = {name: yaml.safe_load(text) for name, text in rendered().items()}
CONTAINERS = [
    (name, template)
    for name, document in DOCUMENTS.items()
    for template in document["spec"]["templates"]
    if "script" in template
]
WATCHES = {
    "workflows.steps.delivery:deliver_release",
    "workflows.steps.delivery:settle_release",
    "workflows.steps.coding:settle_code",
}
WITHOUT_GIT = {
    "workflows.steps.training:wait_for_training",
    "workflows.steps.training:stop_training",
    "workflows.steps.evaluation:evaluate",
    "workflows.steps.packaging:build_image",
    "workflows.steps.conclusion:conclude",
}
GIT_LOGIN = {f"ROOKERY_GIT_{key.upper()}": ("git-release", key) for key in ("username", "password")}
TOKENS = {
    "notices": {*WATCHES, "workflows.steps.evaluation:evaluate", "workflows.steps.conclusion:conclude"},
    "arbiter": {"workflows.steps.watching:watch_applications"},
    "monitor": {
        "workflows.steps.watching:watch_applications",
        "workflows.steps.releasing:check_promotion",
        "workflows.steps.releasing:commit_promotion",
    },
}
"""Service → the steps that are given its token."""


def ids(pair: tuple[str, dict[str, Any]]) -> str:
    return f"{pair[0]}:{pair[1]['name']}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_file_is_what_the_python_says(name: str) -> None:
    committed = RENDERED / name
    assert committed.exists(), f"run `rookery render`: {committed} is missing"
    assert yaml.safe_load(committed.read_text()) == DOCUMENTS[name], f"run `rookery render`: {name} differs"


@pytest.mark.parametrize("name", rendered_crons())
def test_a_cron_runs_a_template_of_ours_with_parameters_that_it_has(name: str) -> None:
    wanted = yaml.safe_load(rendered_crons()[name])
    assert yaml.safe_load((RENDERED / CRON_FOLDER / name).read_text()) == wanted, "run `rookery render`"
    spec = wanted["spec"]["workflowSpec"]
    template = DOCUMENTS[f"{spec['workflowTemplateRef']['name']}.yaml"]
    declared = {item["name"] for item in template["spec"]["arguments"]["parameters"]}
    given = (spec.get("arguments") or {}).get("parameters") or []
    assert {item["name"] for item in given} <= declared
    assert wanted["spec"]["concurrencyPolicy"] == "Forbid"


def test_everything_that_is_rendered_is_synced() -> None:
    for folder, names in ((RENDERED, set(DOCUMENTS)), (RENDERED / CRON_FOLDER, set(rendered_crons()))):
        assert set(yaml.safe_load((folder / "kustomization.yml").read_text())["resources"]) == names


def test_no_file_is_committed_that_no_python_makes() -> None:
    assert {path.name for path in RENDERED.glob("*.yaml")} == set(DOCUMENTS)


def test_writing_twice_changes_nothing_the_second_time(tmp_path: Any) -> None:
    stale = tmp_path / "gone.yaml"
    stale.write_text("kind: WorkflowTemplate\n")
    assert {path.name for path in write(tmp_path)} == {*DOCUMENTS, *rendered_crons(), "gone.yaml"}
    assert write(tmp_path) == []
    assert not stale.exists()


@pytest.mark.parametrize("pair", CONTAINERS, ids=ids)
def test_a_step_has_no_source_of_its_own(pair: tuple[str, dict[str, Any]]) -> None:
    script = pair[1]["script"]
    assert script["source"] == "{{inputs.parameters}}"
    assert script["command"] == ["python"]
    assert script["args"][:2] == ["-m", "workflows.steps.run"]
    assert script["args"][2].startswith("workflows.steps.")
    assert script["args"][3:] == ["/tmp/outputs"]


@pytest.mark.parametrize("pair", CONTAINERS, ids=ids)
def test_a_step_has_a_deadline_and_repeats_faults_but_never_refusals(
    pair: tuple[str, dict[str, Any]],
) -> None:
    template = pair[1]
    assert int(template["activeDeadlineSeconds"]) > 0
    retry = template["retryStrategy"]
    assert int(retry["limit"]) >= 2
    assert retry["retryPolicy"] == "Always"
    assert retry["expression"] == "asInt(lastRetry.exitCode) != 3"
    # Counted from the start of the first try, a longest duration would end a long step at its first fault.
    assert retry["backoff"] == {"duration": "2", "factor": 2, "cap": "60"}


@pytest.mark.parametrize("pair", CONTAINERS, ids=ids)
def test_a_step_fits_pod_security_restricted(pair: tuple[str, dict[str, Any]]) -> None:
    script = pair[1]["script"]
    context = script["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert set(script["resources"]) == {"limits", "requests"}


@pytest.mark.parametrize("pair", CONTAINERS, ids=ids)
def test_a_step_is_given_the_tokens_and_the_login_that_it_needs_and_no_other(
    pair: tuple[str, dict[str, Any]],
) -> None:
    template = pair[1]
    function = template["script"]["args"][2]
    watches = function in WATCHES
    assert template.get("automountServiceAccountToken") is (True if watches else None)
    assert template.get("serviceAccountName") == ("rookery-deliver" if watches else None)
    assert template.get("executor") == ({"serviceAccountName": "rookery-workflow"} if watches else None)
    secrets = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in template["script"].get("env", [])
        if "valueFrom" in entry
    }
    assert all(one["optional"] for one in secrets.values())
    named = {name: (one["name"], one["key"]) for name, one in secrets.items()}
    told = {name for name, functions in TOKENS.items() if function in functions}
    assert named == {
        **({f"ROOKERY_{name.upper()}_TOKEN": (name, "token") for name in told}),
        **({} if function in WITHOUT_GIT else GIT_LOGIN),
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_pod_has_no_token_unless_its_template_says_so(name: str) -> None:
    spec = DOCUMENTS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["executor"] == {"serviceAccountName": spec["serviceAccountName"]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_workflow_has_a_deadline_and_an_exit_handler(name: str) -> None:
    spec = DOCUMENTS[name]["spec"]
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["onExit"] in {template["name"] for template in spec["templates"]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_template_that_is_called_exists_and_is_given_its_inputs(name: str) -> None:
    for template in DOCUMENTS[name]["spec"]["templates"]:
        for group in template.get("steps", []):
            for step in group:
                called = _called(name, step)
                wanted = {item["name"] for item in called.get("inputs", {}).get("parameters", [])}
                given = {item["name"] for item in step.get("arguments", {}).get("parameters", [])}
                assert wanted == given, f"{name}: step {step['name']}"


def test_every_hyperparameter_can_be_set_from_train_model() -> None:
    parameters = {item["name"] for item in DOCUMENTS["train-model.yaml"]["spec"]["arguments"]["parameters"]}
    assert {name.replace("_", "-") for name in Hyperparameters.model_fields} <= parameters


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_parameter_is_described(name: str) -> None:
    for parameter in DOCUMENTS[name]["spec"]["arguments"]["parameters"]:
        assert len(parameter["description"]) > 10, parameter["name"]


def _called(name: str, step: dict[str, Any]) -> dict[str, Any]:
    if "templateRef" in step:
        document = DOCUMENTS[f"{step['templateRef']['name']}.yaml"]
        wanted = step["templateRef"]["template"]
    else:
        document, wanted = DOCUMENTS[name], step.get("template")
    found = [template for template in document["spec"]["templates"] if template["name"] == wanted]
    assert len(found) == 1, f"{name}: step {step['name']} calls {wanted}"
    return dict(found[0])
