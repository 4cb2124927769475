"""Steps as processes: environment, streams, ends by deadline and cancel, and the warm Hera runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from workflows.local.engine import logs
from workflows.local.process import PACKAGE_ROOT
from workflows.local.supervisor import LOG_LIMIT

IMAGE = "rookery/workflow:0.1.0"


def _one(flow: Any, template: dict[str, Any], **spec: Any) -> Any:
    step = {"name": "a", "template": template["name"]}
    return flow.run(flow.manifest(template, steps=[[step]], **spec))


def _text(flow: Any, run: Any) -> list[str]:
    return [line.text for line in logs(flow.home, run.name)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _ends(pid: int) -> bool:
    """Whether the process is gone soon; the one that it was killed by does not wait for that."""
    end = time.monotonic() + 30
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not _alive(pid)


def test_the_environment_is_clean(flow: Any, shell_template: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    (flow.home / "config").mkdir(parents=True)
    (flow.home / "config" / "rookery.json").write_text(json.dumps({"FROM_MAP": "map", "OVER": "map"}))
    container = {
        "env": [
            {"name": "OVER", "value": "env"},
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "rookery", "key": "FROM_MAP"}}},
        ],
        "envFrom": [
            {"configMapRef": {"name": "rookery"}},
            {"secretRef": {"name": "absent", "optional": True}},
        ],
    }
    run = _one(flow, shell_template("env; pwd", container=container))
    seen = dict(line.split("=", 1) for line in _text(flow, run) if "=" in line)
    assert set(seen) - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "TERMINATION_MESSAGE_PATH",
        "FROM_MAP",
        "OVER",
        "KEY",
    }
    assert (seen["OVER"], seen["KEY"]) == ("env", "map")
    assert Path(seen["HOME"]).is_relative_to(flow.home)


def test_a_missing_config_map_is_an_error_that_names_it(flow: Any, shell_template: Any) -> None:
    run = _one(flow, shell_template("true", container={"envFrom": [{"configMapRef": {"name": "nowhere"}}]}))
    node = run.nodes[-1]
    assert node.phase == "Error"
    assert "nowhere" in node.message


def test_output_paths_of_parallel_steps_do_not_meet(flow: Any, shell_template: Any) -> None:
    template = shell_template(
        'echo "$0" > /tmp/same.txt; sleep 0.2; cat /tmp/same.txt > /tmp/deep/er/copy',
        "{{inputs.parameters.i}}",
        inputs=["i"],
        outputs={
            "parameters": [
                {"name": n, "valueFrom": {"path": p}}
                for n, p in (("s", "/tmp/same.txt"), ("c", "/tmp/deep/er/copy"))
            ]
        },
    )
    step = {
        "name": "a",
        "template": "work",
        "withItems": [1, 2, 3, 4],
        "arguments": {"parameters": [{"name": "i", "value": "{{item}}"}]},
    }
    run = flow.run(flow.manifest(template, steps=[[step]]))
    pods = [n for n in run.nodes if n.type == "Pod"]
    assert [n.parameters for n in pods] == [{"s": str(i), "c": str(i)} for i in (1, 2, 3, 4)]
    assert not Path("/tmp/same.txt").exists()


def test_a_volume_of_the_pod_is_a_folder_of_the_step(flow: Any, shell_template: Any) -> None:
    container = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}], "workingDir": "/scratch"}
    template = shell_template(
        "echo x > /scratch/file; cat file; pwd",
        container=container,
        volumes=[{"name": "scratch", "emptyDir": {}}],
    )
    run = _one(flow, template)
    text = _text(flow, run)
    assert text[0] == "x"
    assert Path(text[1]).is_relative_to(flow.home)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_deadline_ends_the_whole_group(
    flow: Any, shell_template: Any, stubborn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.local.launching.GRACE_SECONDS", 0.5)
    trap = "trap '' TERM; " if stubborn else ""
    run = _one(flow, shell_template(f"{trap}sleep 60 & echo $!; wait; sleep 60", activeDeadlineSeconds=5))
    node = run.nodes[-1]
    assert (node.phase, node.message) == (
        "Failed",
        "Pod was active on the node longer than the specified deadline",
    )
    assert node.finished - node.started < 45
    assert _ends(int(_text(flow, run)[0]))


def test_nothing_is_left_of_a_step_that_ended(flow: Any, shell_template: Any) -> None:
    began = time.monotonic()
    run = _one(flow, shell_template("sleep 60 & echo $!"))
    assert run.phase == "Succeeded"
    assert _ends(int(_text(flow, run)[0]))
    assert time.monotonic() - began < 45


def test_the_log_is_bounded_and_says_so(flow: Any, shell_template: Any) -> None:
    run = _one(flow, shell_template(f"head -c {LOG_LIMIT + 1000} /dev/zero | tr '\\0' 'x'; echo end >&2"))
    assert run.phase == "Succeeded"
    log = flow.folder(run.name).step(run.nodes[-1]) / "main.log"
    assert log.stat().st_size < LOG_LIMIT + 200
    assert b"were left out" in log.read_bytes()[-100:]


def test_both_streams_are_kept_apart_and_together(flow: Any, shell_template: Any) -> None:
    run = _one(flow, shell_template("echo out; echo err >&2"))
    folder = flow.folder(run.name).step(run.nodes[-1])
    assert (folder / "stdout.log").read_text() == "out\n"
    assert (folder / "stderr.log").read_text() == "err\n"
    assert sorted(_text(flow, run)) == ["err", "out"]


def test_a_command_that_is_not_there_fails_with_64(flow: Any, shell_template: Any) -> None:
    template = shell_template("")
    template["container"]["command"] = ["no-such-command"]
    run = _one(flow, template)
    assert (run.nodes[-1].phase, run.nodes[-1].exit_code) == ("Failed", "64")
    assert "no-such-command" in _text(flow, run)[0]


def test_a_step_killed_by_a_signal_has_its_code(flow: Any, shell_template: Any) -> None:
    assert _one(flow, shell_template("kill -9 $$")).nodes[-1].exit_code == "137"


RUNNER_MODULE = """
import os, sys
from typing import Annotated
from hera.workflows import Parameter

Up, Next = Annotated[str, Parameter(name="up")], Annotated[int, Parameter(name="next")]

def outputs(word: str, number: int) -> tuple[Up, Next]:
    print("argv", [a for a in sys.argv[1:3]], "main" if "__main__" in sys.modules else "")
    print("warning", file=sys.stderr)
    return word.upper(), number + 1

def leave(code: int):
    sys.exit(code)

def fail():
    raise ValueError("what went wrong")

def result(number: int):
    return {"double": number * 2}
"""


def _runner(function: str, inputs: list[str], outputs: list[str], folder: Path) -> dict[str, Any]:
    return {
        "name": "runner",
        "inputs": {"parameters": [{"name": name} for name in inputs]},
        "outputs": {
            "parameters": [
                {"name": n, "valueFrom": {"path": f"/tmp/hera-outputs/parameters/{n}"}} for n in outputs
            ]
        },
        "script": {
            "image": IMAGE,
            "command": ["python"],
            "source": "{{inputs.parameters}}",
            "args": ["-m", "hera.workflows.runner", "-e", f"steps_of_a_test:{function}"],
            "env": [{"name": "hera__outputs_directory", "value": "/tmp/hera-outputs"}],
        },
    }


@pytest.fixture
def runner_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that only steps can import: on the path that the image would have."""
    (tmp_path / "steps_of_a_test.py").write_text(RUNNER_MODULE)
    monkeypatch.setattr("workflows.local.process.PACKAGE_ROOT", f"{PACKAGE_ROOT}:{tmp_path}")
    monkeypatch.setattr("workflows.local.launching.PACKAGE_ROOT", f"{PACKAGE_ROOT}:{tmp_path}")
    return tmp_path


@pytest.mark.parametrize(
    ("function", "arguments", "outputs"),
    [
        ("outputs", {"word": "owl", "number": "4"}, ["up", "next"]),
        ("leave", {"code": "9"}, []),
        ("fail", {}, []),
        ("result", {"number": "21"}, []),
    ],
)
def test_the_warm_runner_does_what_a_fresh_interpreter_does(
    flow: Any, runner_module: Path, function: str, arguments: dict[str, str], outputs: list[str]
) -> None:
    template = _runner(function, list(arguments), outputs, runner_module)
    step = {
        "name": "a",
        "template": "runner",
        "arguments": {"parameters": [{"name": k, "value": v} for k, v in arguments.items()]},
    }
    run = flow.run(flow.manifest(template, steps=[[step]]))
    warm = run.nodes[-1]
    step_folder = flow.folder(run.name).step(warm)
    spec = json.loads((step_folder / "spec.json").read_text())
    assert spec["runner"]
    fresh_outputs = runner_module / "fresh"
    argv = [sys.executable, *spec["argv"][1:]]
    env = {**spec["env"], "hera__outputs_directory": str(fresh_outputs)}
    fresh = subprocess.run(argv, env=env, cwd=runner_module, capture_output=True, text=True, check=False)
    assert warm.exit_code == str(fresh.returncode)
    assert (step_folder / "stdout.log").read_text() == fresh.stdout
    assert (step_folder / "stderr.log").read_text().splitlines()[-1:] == fresh.stderr.splitlines()[-1:]
    assert warm.parameters == {n: (fresh_outputs / "parameters" / n).read_text() for n in outputs}


def test_the_fork_server_may_be_killed(flow: Any, shell_template: Any) -> None:
    steps = [[{"name": f"s{i}", "template": "work"}] for i in range(4)]
    name = flow.prepare(flow.manifest(shell_template("sleep 0.3"), steps=steps))
    engine = flow.engine(name)
    flow.wait(name, lambda run: any(n.type == "Pod" and n.phase == "Running" for n in run.nodes))
    children: list[str] = []
    end = time.monotonic() + 60
    while not children and time.monotonic() < end:
        children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), 9)
    run = flow.done(name)
    assert run.phase == "Succeeded"
    assert {n.attempt for n in run.nodes} == {0}
