"""The command line as a whole: help, completion, errors as one line, pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from tests.support.cli import Cli
from tests.support.gitops import REPOSITORY, Remote
from workflows.cli import app
from workflows.commands.options import Chosen, complete_environment, complete_template

COMMANDS = (
    "app approve cancel decisions demo doctor down history infra label logs plan prune quarantine render resume "
    "retrain rollback runs share simulate status submit up verify why why-rerun"
).split()


def test_the_commands_are_those_that_are_documented() -> None:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    assert sorted(group.commands) == COMMANDS


GROUPS = {
    "app": "create list".split(),
    "quarantine": "list lift".split(),
    "label": "status choose sync allow export".split(),
    "infra": "up plan down inventory".split(),
}


@pytest.mark.parametrize(
    "command", [*COMMANDS, *(f"{group} {name}" for group, names in GROUPS.items() for name in names)]
)
def test_every_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    done = cli(*command.split(), "--help")
    assert done.code == 0
    assert command in GROUPS or f"rookery {command}" in done.out


def test_no_command_shows_the_help(cli: Cli) -> None:
    done = cli()
    assert "Usage: rookery" in done.out + done.err


def test_an_unknown_command_is_wrong_usage(cli: Cli) -> None:
    assert cli("promote").code == 2


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out.startswith("rookery ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["why", "nowhere"], 1, "there is no such environment"),
        (["why", "staging", "-a", "nothing"], 1, "there is no such environment"),
        (["why", "../../etc"], 1, "this is no name of an environment"),
        (["history", "staging", "--repo", "/nonexistent"], 1, "there is no git repository"),
        (["submit"], 2, "either the name of a template or --file"),
        (["submit", "train-model"], 1, "`rookery up` first"),
        (["submit", "train-mode"], 2, "train-model, watch-applications (did you mean 'train-model'?)"),
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
