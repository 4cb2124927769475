"""`submit`, `runs`: workflows that run here, and what is said of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.cli import Cli
from workflows.commands.templates import parse_parameters


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


def test_who_stops_waiting_hears_that_the_workflow_goes_on(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "workflow.yaml"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: rookery/x, command: ['true']}}]}\n"
    )
    monkeypatch.setattr("workflows.commands.runs.follow", interrupted)
    done = cli("submit", "--file", file, "--wait")
    assert done.code == 130
    name = done.out.strip()
    assert (
        f"{name} goes on: `rookery logs {name} --follow` shows it, `rookery cancel {name}` stops it"
        in done.err
    )


def test_watching_shows_how_far_a_long_step_is_without_every_line_of_it(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    script = "for n in $(seq 1 100); do echo epoch $n; sleep 0.05; done"
    file.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {entrypoint: a, templates: [{name: a, container: {image: rookery/x, "
        f"command: [sh, -c], args: ['{script}']}}}}]}}\n"
    )
    began = time.monotonic()
    done = cli("submit", "--file", file, "--watch")
    seconds = time.monotonic() - began
    said = [int(line.split()[-1]) for line in done.out.splitlines() if ": epoch " in line]
    assert done.code == 0
    assert 2 <= len(said) <= seconds + 1
    assert len(said) < 100
    assert said == sorted(set(said))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("args: ['echo before; echo because; echo; exit 1']}", "again(1): because"),
        ("args: ['exit 7']}", "again(1): main: Error (exit code 7)"),
        ("args: ['echo why >/dev/termination-log; echo later; exit 7']}", "again(1): why"),
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
