"""What people do to runs: submit, cancel, approve, watch; and what limits runs among each other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import Conflict, InvalidInput, NotFound
from workflows.local.engine import approve, cancel, get_run, list_runs, logs, submit
from workflows.local.templates import TemplateStore


def _steps(*names: str, template: str = "work") -> list[Any]:
    return [[{"name": name, "template": template}] for name in names]


def test_a_submitted_run_goes_on_in_an_engine_of_its_own(flow: Any, shell_template: Any) -> None:
    name = flow.detach(flow.manifest(shell_template("echo hello"), steps=_steps("a")))
    run = flow.done(name)
    assert run.phase == "Succeeded"
    assert [line.text for line in logs(flow.home, name)] == ["hello"]
    assert [listed.name for listed in list_runs(flow.home)] == [name]


def test_cancel_ends_running_steps_and_runs_the_exit_handler(flow: Any, shell_template: Any) -> None:
    bye = shell_template("echo bye {{workflow.status}}", name="bye")
    manifest = flow.manifest(shell_template("echo up; sleep 60"), bye, steps=_steps("a", "b"), onExit="bye")
    name = flow.detach(manifest)
    flow.wait(name, lambda run: any(n.type == "Pod" and n.phase == "Running" for n in run.nodes))
    began = time.monotonic()
    cancel(flow.home, name)
    run = flow.done(name)
    assert time.monotonic() - began < 45
    assert (run.phase, run.message) == ("Failed", "Stopped with strategy 'Stop'")
    assert {n.display_name: n.phase for n in run.nodes if n.type == "Pod"} == {
        "a": "Failed",
        f"{name}.onExit": "Succeeded",
    }
    assert [line.text for line in logs(flow.home, name, node=f"{name}.onExit")] == ["bye Failed"]
    with pytest.raises(Conflict, match="has ended"):
        cancel(flow.home, name)


def test_cancel_without_an_engine_starts_one_to_end_the_orphans(flow: Any, shell_template: Any) -> None:
    name = flow.prepare(flow.manifest(shell_template("sleep 60"), steps=_steps("a")))
    engine = flow.engine(name)
    run = flow.wait(name, lambda run: any(n.type == "Pod" and n.phase == "Running" for n in run.nodes))
    folder = flow.folder(name).step(run.nodes[-1])
    while not (folder / "child.json").exists():
        time.sleep(0.01)
    engine.kill()
    engine.wait()
    cancel(flow.home, name)
    assert flow.done(name).phase == "Failed"


def test_a_suspended_run_waits_for_approval(flow: Any, shell_template: Any) -> None:
    manifest = flow.manifest(
        shell_template("true"),
        {"name": "gate", "suspend": {}},
        steps=[[{"name": "ask", "template": "gate"}], *_steps("after")],
    )
    name = flow.detach(manifest)
    run = flow.wait(name, lambda run: bool(run.waiting))
    assert [n.display_name for n in run.waiting] == ["ask"]
    with pytest.raises(Conflict, match="waits for no approval"):
        approve(flow.home, name, "other")
    approve(flow.home, name, "ask", by="somebody")
    run = flow.done(name)
    assert run.phase == "Succeeded"
    assert next(n for n in run.nodes if n.display_name == "ask").message == "approved by somebody"
    with pytest.raises(Conflict):
        approve(flow.home, name)


def test_an_approval_given_while_no_engine_is_there_counts(flow: Any, shell_template: Any) -> None:
    manifest = flow.manifest(
        shell_template("true"),
        {"name": "gate", "suspend": {}},
        steps=[[{"name": "ask", "template": "gate"}], *_steps("after")],
    )
    name = flow.prepare(manifest)
    engine = flow.engine(name)
    flow.wait(name, lambda run: bool(run.waiting))
    engine.kill()
    engine.wait()
    approve(flow.home, name)
    assert flow.done(name).phase == "Succeeded"


def test_a_cancelled_suspension_fails(flow: Any) -> None:
    name = flow.detach(
        flow.manifest({"name": "gate", "suspend": {}}, steps=[[{"name": "ask", "template": "gate"}]])
    )
    flow.wait(name, lambda run: bool(run.waiting))
    cancel(flow.home, name)
    assert flow.done(name).phase == "Failed"


def test_the_deadline_of_the_workflow_ends_it(flow: Any, shell_template: Any) -> None:
    bye = shell_template("true", name="bye")
    run = flow.run(
        flow.manifest(
            shell_template("sleep 60"), bye, steps=_steps("a"), activeDeadlineSeconds=5, onExit="bye"
        )
    )
    assert run.phase == "Failed"
    assert {n.display_name: n.message for n in run.nodes if n.type == "Pod"} == {
        "a": "Step exceeded its deadline",
        f"{run.name}.onExit": "",
    }


def test_a_dag_is_cancelled_too(flow: Any, shell_template: Any) -> None:
    dag = {
        "name": "main",
        "dag": {
            "tasks": [{"name": "a", "template": "work"}, {"name": "b", "template": "work", "depends": "a"}]
        },
    }
    name = flow.detach(flow.manifest(dag, shell_template("sleep 60", retryStrategy={"limit": 5})))
    flow.wait(name, lambda run: any(n.type == "Pod" and n.phase == "Running" for n in run.nodes))
    cancel(flow.home, name)
    run = flow.done(name)
    assert run.phase == "Failed"
    assert sum(n.type == "Pod" for n in run.nodes) == 1


@pytest.mark.parametrize("where", ["workflow", "template", "engine"])
def test_parallelism_is_kept(flow: Any, shell_template: Any, where: str) -> None:
    manifest = flow.manifest(
        shell_template("sleep 0.2"),
        steps=[[{"name": "a", "template": "work", "withItems": list(range(5))}]],
    )
    if where == "workflow":
        manifest["spec"]["parallelism"] = 2
    elif where == "template":
        manifest["spec"]["templates"][0]["parallelism"] = 2
    run = flow.run(manifest, **({"max_processes": 2} if where == "engine" else {}))
    pods = [n for n in run.nodes if n.type == "Pod"]
    assert run.phase == "Succeeded"
    assert len(pods) == 5
    if where != "engine":
        moments = sorted([(n.started, 1) for n in pods] + [(n.finished, -1) for n in pods])
        assert max(sum(change for _, change in moments[: i + 1]) for i in range(len(moments))) <= 2
    assert run.finished - run.started > 0.55


def test_a_mutex_is_kept_between_runs(flow: Any, shell_template: Any, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    script = 'echo in >> "$0"; sleep 0.4; echo out >> "$0"'
    template = shell_template(script, str(ledger), synchronization={"mutexes": [{"name": "only-one"}]})
    names = [flow.detach(flow.manifest(template, steps=_steps("a"))) for _ in range(3)]
    assert [flow.done(name).phase for name in names] == ["Succeeded"] * 3
    assert ledger.read_text().split() == ["in", "out"] * 3


def test_fail_fast_starts_no_more_turns(flow: Any, shell_template: Any) -> None:
    manifest = flow.manifest(
        shell_template("exit 1"),
        steps=[[{"name": "a", "template": "work", "withItems": [1, 2, 3, 4]}]],
        parallelism=1,
    )
    manifest["spec"]["templates"][0]["failFast"] = True
    run = flow.run(manifest)
    assert run.phase == "Failed"
    assert sum(n.type == "Pod" for n in run.nodes) < 4


def test_logs_can_be_followed(flow: Any, shell_template: Any) -> None:
    name = flow.detach(
        flow.manifest(shell_template("for i in 1 2 3; do echo $i; sleep 0.2; done"), steps=_steps("a", "b"))
    )
    assert [line.text for line in logs(flow.home, name, follow=True)] == ["1", "2", "3"] * 2


def test_templates_of_the_store_run_and_are_kept_with_the_run(
    flow: Any, shell_template: Any, tmp_path: Path
) -> None:
    import yaml

    store = tmp_path / "rendered"
    store.mkdir()
    manifest = flow.manifest(
        shell_template("echo $0", "{{workflow.parameters.word}}"),
        steps=_steps("a"),
        arguments={"parameters": [{"name": "word"}]},
    )
    library = {**manifest, "kind": "WorkflowTemplate", "metadata": {"name": "say-it"}}
    (store / "say.yaml").write_text(yaml.safe_dump(library))
    (store / "other.yaml").write_text("kind: ConfigMap\napiVersion: v1\n")
    templates = TemplateStore(store)
    assert templates.names() == ["say-it"]
    name = submit("say-it", {"word": "hello"}, home=flow.home, templates=templates, wait=True)
    assert name.startswith("say-it-")
    assert [line.text for line in logs(flow.home, name)] == ["hello"]
    caller = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "c-"},
        "spec": {
            "workflowTemplateRef": {"name": "say-it"},
            "arguments": {"parameters": [{"name": "word", "value": "given"}]},
        },
    }
    name = submit(caller, {}, home=flow.home, templates=templates, wait=True)
    assert [line.text for line in logs(flow.home, name)] == ["given"]
    by_reference = flow.manifest(
        steps=[[{"name": "a", "templateRef": {"name": "say-it", "template": "main"}}]],
        arguments={"parameters": [{"name": "word", "value": "through"}]},
    )
    name = submit(by_reference, {}, home=flow.home, templates=templates, wait=True)
    assert [line.text for line in logs(flow.home, name)] == ["through"]
    with pytest.raises(NotFound, match="say-it"):
        submit("say-jt", {}, home=flow.home, templates=templates, wait=True)
    with pytest.raises(InvalidInput, match="did you mean 'word'"):
        submit("say-it", {"wort": "x"}, home=flow.home, templates=templates, wait=True)
    with pytest.raises(InvalidInput, match="without a value: word"):
        submit("say-it", {}, home=flow.home, templates=templates, wait=True)
    assert len(list_runs(flow.home)) == 3


def test_a_name_is_used_once(flow: Any, shell_template: Any) -> None:
    manifest = flow.manifest(shell_template("true"), steps=_steps("a"))
    manifest["metadata"] = {"name": "only"}
    assert flow.run(manifest).name == "only"
    with pytest.raises(Conflict, match="only"):
        flow.run(manifest)
    with pytest.raises(NotFound, match="did you mean 'only'"):
        get_run(flow.home, "onlv")


def test_other_images_need_leave(flow: Any, shell_template: Any) -> None:
    manifest = flow.manifest(shell_template("true", container={"image": "python:3.11"}), steps=_steps("a"))
    manifest["spec"]["templates"][1]["container"]["image"] = "python:3.11"
    with pytest.raises(InvalidInput, match=r"python:3.11.*--host-image"):
        flow.run(manifest)
    assert flow.run(manifest, host_images=["python:*"]).phase == "Succeeded"
