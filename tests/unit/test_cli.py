"""The command line: help, completion, JSON, errors as one line, and what git alone can answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from services.data.generate import write_pictures
from tests.support.gitops import REPOSITORY, Remote, git
from workflows.cli import app, main
from workflows.commands.options import Chosen, complete_environment, complete_template
from workflows.commands.templates import parse_parameters, template_names
from workflows.local.status import EnvironmentStatus

COMMANDS = (
    "app approve cancel demo doctor down history logs plan prune quarantine render resume rollback runs status "
    "submit up verify why"
).split()


@pytest.fixture(autouse=True)
def nobody_says_how_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runner that works in parallel tells its workers a width; a pipe has none."""
    monkeypatch.delenv("COLUMNS", raising=False)


class Done:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """Calls commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str | Path) -> Done:
        self.capsys.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self.capsys.readouterr()
        return Done(code, out, err)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("ROOKERY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ROOKERY_APPLICATION", raising=False)
    monkeypatch.setattr(Chosen, "home", None)
    return Cli(capsys)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    made = Remote(tmp_path_factory.mktemp("remote") / "home")
    for version in (1, 2):
        zero = f"{version:064x}"
        made.release(version, f"sha256:{zero}", f"sha256:{zero}")
    return made


def test_the_commands_are_those_that_are_documented() -> None:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    assert sorted(group.commands) == COMMANDS


@pytest.mark.parametrize(
    "command", [*COMMANDS, "app create", "app list", "quarantine list", "quarantine lift"]
)
def test_every_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    done = cli(*command.split(), "--help")
    assert done.code == 0
    assert command in ("app", "quarantine") or f"rookery {command}" in done.out


def test_no_command_shows_the_help(cli: Cli) -> None:
    done = cli()
    assert "Usage: rookery" in done.out + done.err


def test_an_unknown_command_is_wrong_usage(cli: Cli) -> None:
    assert cli("promote").code == 2


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out.startswith("rookery ")


def test_why_and_history_need_a_bare_clone_only(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    clone = tmp_path / "clone.git"
    git(tmp_path, "clone", "-q", "--bare", str(remote.path), str(clone))
    why = cli("why", "staging", "--repo", clone)
    assert "digits staging runs version 2 (cnn)" in why.out
    steps = cli("history", "staging", "--repo", clone, "--json").json()
    assert [step["model_version"] for step in steps] == ["2", "1", None]
    assert cli("why", "staging", "--repo", clone, "--json").json()["evidence"]["run_id"] == f"{2:032x}"
    assert "Nothing is released" in cli("why", "production", "--repo", clone).out


def test_history_takes_the_repository_around(
    cli: Cli, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(remote.path), str(work))
    monkeypatch.chdir(work / "k8s" / "apps")
    assert "release version 2" in cli("history", "staging", "-n", "1").out
    monkeypatch.chdir(tmp_path)
    done = cli("history", "staging")
    assert done.code == 1
    assert "--repo" in done.err


def test_history_prefers_the_remote_of_this_machine(cli: Cli, remote: Remote) -> None:
    assert "release version 2" in cli("--home", remote.home, "history", "staging").out


def test_a_plan_says_what_would_change_and_what_would_refuse_it(cli: Cli, remote: Remote) -> None:
    done = cli("plan", "staging", "canary", "--repo", remote.path)
    assert done.code == 0
    assert "-p model-version=2" in done.out
    skipped = cli("plan", "staging", "production", "--repo", remote.path, "--json")
    assert skipped.code == 3
    assert "skips no environment" in " ".join(skipped.json()["refusals"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["why", "nowhere"], 1, "there is no such environment"),
        (["why", "staging", "-a", "nothing"], 1, "there is no such environment"),
        (["why", "../../etc"], 1, "this is no name of an environment"),
        (["history", "staging", "--repo", "/nonexistent"], 1, "there is no git repository"),
        (["submit"], 2, "either the name of a template or --file"),
        (["submit", "train-model"], 1, "`rookery up` first"),
        (["submit", "train-mode"], 2, "rollback-model, train-model (did you mean 'train-model'?)"),
        (["submit", "../../etc/passwd"], 2, "there is no such workflow template"),
        (["submit", "--file", "/nonexistent.yaml"], 2, "nonexistent.yaml"),
        (["logs", "no-such-run"], 1, "there is no such run"),
        (["resume", "no-such-run"], 1, "there is no such run"),
        (["cancel", "../../etc"], 1, "there is no such run"),
        (["approve", "no-such-run"], 1, "there is no such run"),
        (["rollback", "production"], 1, "`rookery up` first"),
        (["status"], 1, "`rookery up` first"),
        (["verify", "canary"], 1, "`rookery up` first"),
        (["down", "--purge"], 1, "--purge --yes"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    cli: Cli, remote: Remote, arguments: list[str], code: int, message: str
) -> None:
    repo = ["--repo", str(remote.path)] if arguments[0] == "why" else []
    done = cli(*arguments, *repo)
    assert done.code == code
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


def test_an_unknown_environment_is_told_with_those_of_its_application_alone(cli: Cli, tmp_path: Path) -> None:
    remote = Remote(tmp_path / "remote" / "home")
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    made = cli("app", "create", "shapes", "--data-source", "digits", "--kind", "image")
    assert made.code == 0, made.err
    done = cli("why", "prod")
    assert "digits staging, digits canary, digits production" in done.err or "digits canary" in done.err
    assert "shapes" not in done.err
    assert "shapes staging" in cli("why", "prod", "-a", "nothing").err


@pytest.mark.parametrize("home", ["/proc/x", "/dev/null"])
@pytest.mark.parametrize("command", ["up", "status"])
def test_a_folder_that_cannot_be_is_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, home: str, command: str
) -> None:
    monkeypatch.setenv("ROOKERY_HOME", home)
    done = cli(command)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert home in done.err
    assert done.err.count("\n") == 1


def test_an_output_that_takes_nothing_is_one_line(remote: Remote) -> None:
    command = [sys.executable, "-m", "workflows.cli", "history", "staging", "--repo", str(remote.path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=REPOSITORY, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device\n"


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("why", "staging"), ("verify", "staging"), ("history", "staging"), ("plan", "staging", "canary"),
        ("runs",), ("logs", "x"), ("cancel", "x"), ("approve", "x"), ("resume", "x"), ("rollback", "staging"),
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_a_cluster_that_is_not_there_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Chosen, "kubeconfig", None)
    done = cli("--kubeconfig", tmp_path / "none", *command, "--cluster")
    assert done.code == 1
    assert done.err == f"error: there is no kubeconfig (got {str(tmp_path / 'none')!r}); allowed: " + (
        "--kubeconfig FILE, or the variable KUBECONFIG\n"
    )


def test_a_context_asks_for_a_cluster_too(cli: Cli, tmp_path: Path) -> None:
    done = cli("--kubeconfig", tmp_path / "none", "submit", "train-model", "--context", "lab")
    assert done.code == 1
    assert "there is no kubeconfig" in done.err


def test_purging_nothing_says_so(cli: Cli, tmp_path: Path) -> None:
    done = cli("down", "--purge", "--yes")
    assert done.code == 0
    assert f"nothing to delete: there is no {tmp_path / 'home'}" in done.out


def test_a_narrow_status_breaks_no_word(cli: Cli, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("--home", remote.home, "status")
    assert done.code == 1
    line = next(line for line in done.out.splitlines() if " staging " in line)
    assert re.search(r" 2 +000000000000 +\d{4}-\d\d-\d\d \d\d:\d\d ", line)
    assert line.endswith(" nobody answers")
    assert all(len(line) <= 80 for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"phase": "empty", "health": ""}, True),
        ({"phase": "failed"}, False),
        ({"health": "down"}, False),
        ({"drift": "nobody answers"}, False),
    ],
)
def test_an_environment_that_failed_is_not_good(change: dict[str, str], good: bool) -> None:
    texts = dict.fromkeys([field.name for field in fields(EnvironmentStatus)], "")
    status = EnvironmentStatus(**{**texts, "phase": "running", "health": "ok", **change})  # type: ignore[arg-type]
    assert status.good is good


def test_an_unsupported_workflow_is_refused_by_name(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, resource: {action: get}}]}\n"
    )
    done = cli("submit", "--file", file)
    assert done.code == 2
    assert "resource" in done.err


def test_a_foreign_image_runs_here_when_its_pattern_is_given(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: 'busybox:1', command: ['true']}}]}\n"
    )
    refused = cli("submit", "--file", file)
    assert refused.code == 2
    assert "--host-image 'busybox:1'" in refused.err
    done = cli("submit", "--file", file, "--host-image", "python:*", "--host-image", "busybox:*", "--wait")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "parameters without a value: word"), (["-p", "word=x", "-p", "wrod=y"], "did you mean 'word'")],
)
def test_parameters_that_do_not_fit_are_wrong_usage(
    cli: Cli, tmp_path: Path, given: list[str], message: str
) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, arguments: {parameters: [{name: word}]}, "
        "templates: [{name: a, container: {image: rookery/x, command: ['true']}}]}\n"
    )
    done = cli("submit", "--file", file, *given)
    assert done.code == 2
    assert message in done.err


def test_applications_are_listed_from_git(cli: Cli, remote: Remote) -> None:
    found = cli("app", "list", "--repo", remote.path, "--json").json()
    assert [(one["name"], one["ports"]) for one in found] == [("digits", remote.ports)]


def test_a_new_application_is_one_commit_on_free_ports(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    made = cli(
        *(
            "app",
            "create",
            "shapes",
            "--data-source",
            "digits",
            "--model-name",
            "cnn",
            "--kind",
            "image",
            "--json",
        )
    ).json()
    assert not set(made["ports"].values()) & set(remote.ports.values())
    assert [one["name"] for one in cli("app", "list", "--json").json()] == ["digits", "shapes"]
    assert git(tmp_path / "home" / "gitops.git", "rev-parse", "main") == made["commit"]
    assert "Nothing is released" in cli("why", "staging", "-a", "shapes").out
    again = cli(
        "app", "create", "shapes", "--data-source", "digits", "--model-name", "cnn", "--kind", "image"
    )
    assert again.code == 1
    assert "already" in again.err


@pytest.mark.parametrize(("kind", "model"), [("image", "cnn"), ("audio", "mel-cnn")])
def test_a_new_application_trains_the_small_family_when_none_is_named(
    cli: Cli, remote: Remote, tmp_path: Path, kind: str, model: str
) -> None:
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    made = cli("app", "create", "mushrooms", "--data-source", "s3://data/mushrooms", "--kind", kind, "--json")
    assert made.json()["model_name"] == model


def test_a_relative_folder_is_committed_as_an_absolute_path(
    cli: Cli, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    write_pictures(tmp_path / "shapes", items=24, classes=2, seed=1)
    monkeypatch.chdir(tmp_path)
    facts = cli("app", "create", "shapes", "--data-source", "shapes?min_items=3", "--json").json()
    assert (facts["data_source"], facts["kind"]) == (f"{tmp_path}/shapes?min_items=3", "image")


_SOUNDS = "synthetic-birds?recordings=12&species=2&seconds=0.5"


@pytest.mark.parametrize(
    ("source", "others", "reasons"),
    [
        ("digits", ["--model-name", "vit"], ["unknown model name", "mel-cnn"]),
        ("digits", ["--model-name", "mel-cnn"], ["mel-cnn is trained on sounds", "resnet18"]),
        (_SOUNDS, ["--model-name", "cnn"], ["cnn is trained on pictures", "mel-resnet18"]),
        ("digits", ["--kind", "audio"], ["holds pictures, not sounds"]),
        ("../nowhere/shapes", [], ["unknown data source", "/path/to/folder"]),
        ("/nowhere/shapes", ["--kind", "image"], ["the data source is no folder"]),
        ("{tmp}/one", [], ["1 classes"]),
        ("s3://", ["--kind", "image"], ["no name of a bucket", "s3://bucket/prefix"]),
        ("s3://data/shapes", [], ["say what it holds", "--kind"]),
        ("s3://data/shapes", ["--kind", "audio", "--model-name", "cnn"], ["cnn is trained on pictures"]),
    ],
)
def test_an_application_that_could_not_be_trained_is_not_committed(
    cli: Cli, remote: Remote, tmp_path: Path, source: str, others: list[str], reasons: list[str]
) -> None:
    gitops = tmp_path / "home" / "gitops.git"
    shutil.copytree(remote.path, gitops)
    before = git(gitops, "rev-parse", "main")
    write_pictures(tmp_path / "made", items=24, classes=2, seed=1)
    (tmp_path / "made/training/class_00").rename(tmp_path / "one")
    (tmp_path / "one" / "class_00").mkdir()
    for picture in (tmp_path / "one").glob("*.*"):
        picture.rename(tmp_path / "one" / "class_00" / picture.name)
    done = cli("app", "create", "shapes", "--data-source", source.format(tmp=tmp_path), *others)
    assert done.code == 1
    assert all(reason in done.err for reason in reasons), done.err
    assert git(gitops, "rev-parse", "main") == before


@pytest.mark.parametrize(("code", "expected"), [("exit 1", 1), ("exit 3", 3)])
def test_waiting_for_a_workflow_tells_a_refusal_from_a_failure(
    cli: Cli, tmp_path: Path, code: str, expected: int
) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: rookery/x, "
        f"command: [sh, -c], args: ['echo because; {code}']}}}}]}}\n"
    )
    done = cli("submit", "--file", file, "--wait")
    assert done.code == expected
    assert "because" in done.err


def test_watching_shows_how_far_a_long_step_is_without_every_line_of_it(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    script = "for n in $(seq 1 60); do echo epoch $n; sleep 0.05; done"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: rookery/x, "
        f"command: [sh, -c], args: ['{script}']}}}}]}}\n"
    )
    done = cli("submit", "--file", file, "--watch")
    said = [int(line.split()[-1]) for line in done.out.splitlines() if ": epoch " in line]
    assert done.code == 0
    assert 2 <= len(said) <= 10
    assert said == sorted(set(said))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("args: ['echo before; echo because; echo; exit 1']}", "again(1): because"),
        ("args: ['exit 7']}", "again(1): main: Error (exit code 7)"),
        ("args: ['echo busy; sleep 30']}, activeDeadlineSeconds: 1", "again(1): Pod was active"),
        (
            "args: ['echo done']}, outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}",
            "again(0): cannot save",
        ),
    ],
)
def test_the_list_of_runs_says_why_one_failed(cli: Cli, tmp_path: Path, step: str, expected: str) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, steps: [[{name: again, template: b}]]}, {name: b, "
        f"retryStrategy: {{limit: 1}}, container: {{image: rookery/x, command: [sh, -c], {step}}}]}}\n"
    )
    assert cli("submit", "--file", file, "--wait").code == 1
    [run] = cli("runs", "--json").json()
    assert run["reason"].startswith(expected)
    assert "busy" not in run["reason"]
    assert expected in cli("runs").out
    assert "child" not in run["reason"]


def test_a_name_that_is_a_path_is_no_application(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    done = cli("app", "create", "../x", "--data-source", "digits", "--model-name", "cnn", "--kind", "image")
    assert done.code == 1
    assert "this is no name" in done.err


def test_rendering_writes_every_template_and_tells_what_is_stale(cli: Cli, tmp_path: Path) -> None:
    assert cli("render", "--folder", tmp_path / "yaml").code == 0
    assert cli("render", "--folder", tmp_path / "yaml", "--check").code == 0
    assert sorted(path.stem for path in (tmp_path / "yaml").iterdir()) == template_names()
    (tmp_path / "yaml" / "train-model.yaml").write_text("other\n")
    stale = cli("render", "--folder", tmp_path / "yaml", "--check")
    assert stale.code == 3
    assert "train-model.yaml" in stale.err


@pytest.mark.parametrize("value", ["a=b", "$(touch x)", "{{workflow.name}}", "a\nb", "", "../.."])
def test_parameter_values_are_taken_as_they_are(value: str) -> None:
    assert parse_parameters([f"name={value}"]) == {"name": value}


def test_parameter_names_of_our_templates_have_hyphens() -> None:
    assert parse_parameters(["label_noise=1"], hyphens=True) == {"label-noise": "1"}
    assert parse_parameters(["label_noise=1"]) == {"label_noise": "1"}


@pytest.mark.parametrize("given", [["novalue"], ["=x"], ["a b=1"], ["a=1", "a=2"], ["../x=1"]])
def test_what_is_no_parameter_is_wrong_input(cli: Cli, given: list[str], tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("kind: Workflow\n")
    done = cli("submit", "--file", file, *(part for item in given for part in ("-p", item)))
    assert done.code == 2
    assert "parameter" in done.err


def test_completion_offers_environments_and_templates() -> None:
    assert complete_environment("c") == ["canary"]
    assert "promote-model" in list(complete_template("pro"))


def test_the_program_writes_no_colours_into_a_pipe(remote: Remote) -> None:
    command = [sys.executable, "-m", "workflows.cli", "history", "staging", "--repo", str(remote.path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 200 for line in done.stdout.splitlines())


def test_an_interrupted_reader_ends_the_program_quietly(remote: Remote) -> None:
    command = (
        f"{sys.executable} -m workflows.cli history staging --repo {remote.path} | head -c 1 >{os.devnull}"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_prune_shows_what_would_go_and_removes_it(cli: Cli, remote: Remote, tmp_path: Path) -> None:
    assert "`rookery up` first" in cli("prune").err
    shutil.copytree(remote.path, tmp_path / "home" / "gitops.git")
    assert "nothing to remove" in cli("prune").out
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: once}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: rookery/x, command: ['true']}}]}\n"
    )
    assert cli("submit", "--file", file, "--wait").code == 0
    shown = cli("prune", "--older-than", "0", "--keep-runs", "0", "--dry-run")
    assert re.search(r"run +once +[\d.]+ kB +Succeeded", shown.out)
    assert cli("runs", "--json").json() != []
    done = cli("prune", "--older-than", "0", "--keep-runs", "0", "--json").json()
    assert [one["name"] for one in done["removed"]] == ["once"]
    assert cli("runs", "--json").json() == []
    assert cli("prune", "--keep-releases", "1").code == 2
