"""The command line: help, completion, JSON, errors as one line, and what git alone can answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from tests.support.gitops import REPOSITORY, Remote, git
from workflows.cli import app, main
from workflows.commands.options import Chosen, complete_environment, complete_template
from workflows.commands.templates import parse_parameters, template_names

COMMANDS = (
    "app approve cancel demo doctor down history logs plan render resume rollback runs status submit up verify why"
).split()


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


@pytest.mark.parametrize("command", [*COMMANDS, "app create", "app list"])
def test_every_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    done = cli(*command.split(), "--help")
    assert done.code == 0
    assert command == "app" or f"rookery {command}" in done.out


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
        (["submit"], 1, "either the name of a template or --file"),
        (["submit", "train-model"], 1, "`rookery up` first"),
        (["submit", "--file", "/nonexistent.yaml"], 1, "nonexistent.yaml"),
        (["logs", "no-such-run"], 1, "there is no such run"),
        (["resume", "no-such-run"], 1, "there is no such run"),
        (["cancel", "../../etc"], 1, "there is no such run"),
        (["approve", "no-such-run"], 1, "there is no such run"),
        (["rollback", "production"], 1, "`rookery up` first"),
        (["status"], 1, "no branch main"),
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


def test_an_unsupported_workflow_is_refused_by_name(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, resource: {action: get}}]}\n"
    )
    done = cli("submit", "--file", file)
    assert done.code == 1
    assert "resource" in done.err


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
    made = cli("app", "create", "mushrooms", "--data-source", "/data/mushrooms", "--kind", kind, "--json")
    assert made.json()["model_name"] == model


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
    assert done.code == 1
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
