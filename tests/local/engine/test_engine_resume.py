"""Bad days of the engine: killed at any moment, steps lost with the machine, two engines at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import Conflict
from workflows.local.engine import Engine, get_run, resume

LEDGER = 'sleep "$1"; echo "$0" >> "$2"; exit "$3"'
# Goes on once what `s` names is there; "/" is there.
GATED = 'while [ ! -e "$1" ]; do sleep 0.05; done; echo "$0" >> "$2"; exit "$3"'
# The first attempt stays, and makes the folder that `s` names; where it is, or cannot be made, it goes on.
STAYS_ONCE = 'mkdir "$1" 2> /dev/null && sleep 100; echo "$0" >> "$2"; exit "$3"'


def _noted(
    shell: Callable[..., dict[str, Any]], ledger: Path, script: str = LEDGER, **more: Any
) -> dict[str, Any]:
    words = ["{{node.name}}", "{{inputs.parameters.s}}", str(ledger), "{{inputs.parameters.code}}"]
    return shell(script, *words, inputs=["s", "code"], **more)


def _arguments(seconds: float | str, code: str = "0") -> dict[str, Any]:
    return {"parameters": [{"name": "s", "value": seconds}, {"name": "code", "value": code}]}


def _lines(ledger: Path) -> Counter[str]:
    return Counter(ledger.read_text().splitlines()) if ledger.exists() else Counter()


def _begun(flow: Any, name: str, step: str) -> Path:
    """The folder of a step, once its process is there."""
    run = flow.wait(name, lambda run: any(n.display_name == step and n.phase == "Running" for n in run.nodes))
    folder: Path = flow.folder(name).step(next(n for n in run.nodes if n.display_name == step))
    end = time.monotonic() + 60
    while not (folder / "child.json").exists():
        assert time.monotonic() < end, step
        time.sleep(0.01)
    return folder


def _stays(folder: Path) -> None:
    """Return when the first attempt of a step is where it stays."""
    end = time.monotonic() + 60
    while not folder.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def _kill(process: Any) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_running_step_is_adopted_and_not_run_again(flow: Any, shell_template: Any, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    steps = [
        [{"name": n, "template": "work", "arguments": _arguments(s)}]
        for n, s in (("a", "/"), ("b", str(gate)), ("c", "/"))
    ]
    name = flow.prepare(flow.manifest(_noted(shell_template, ledger, GATED), steps=steps))
    engine = flow.engine(name)
    _begun(flow, name, "b")
    _kill(engine)
    assert get_run(flow.home, name).engine is None
    opening = threading.Timer(1, gate.touch)
    opening.start()
    resume(flow.home, name, wait=True)
    opening.join()
    run = get_run(flow.home, name)
    assert run.phase == "Succeeded"
    assert _lines(ledger) == Counter({f"{name}[{i}].{n}": 1 for i, n in enumerate("abc")})
    assert all(node.attempt == 0 for node in run.nodes)


def test_a_step_that_ended_while_no_engine_was_there_keeps_its_result(
    flow: Any, shell_template: Any, tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    steps = [[{"name": "a", "template": "work", "arguments": _arguments(str(gate), "3")}]]
    name = flow.prepare(flow.manifest(_noted(shell_template, ledger, GATED), steps=steps))
    engine = flow.engine(name)
    _begun(flow, name, "a")
    _kill(engine)
    gate.touch()
    end = time.monotonic() + 60
    while not _lines(ledger):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.5)
    assert sum(_lines(ledger).values()) == 1
    resume(flow.home, name, wait=True)
    run = get_run(flow.home, name)
    assert (run.phase, run.nodes[-1].exit_code) == ("Failed", "3")
    assert sum(_lines(ledger).values()) == 1


def test_a_step_lost_with_its_supervisor_runs_again_as_the_same_node(
    flow: Any, shell_template: Any, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    steps = [
        [{"name": n, "template": "work", "arguments": _arguments(s)}]
        for n, s in (("a", "/"), ("b", str(tmp_path / "stayed")))
    ]
    name = flow.prepare(flow.manifest(_noted(shell_template, ledger, STAYS_ONCE), steps=steps))
    engine = flow.engine(name)
    folder = _begun(flow, name, "b")
    _stays(tmp_path / "stayed")
    _kill(engine)
    child = json.loads((folder / "child.json").read_text())["pid"]
    os.kill(int((folder / "claim").read_text().split()[0]), signal.SIGKILL)
    resume(flow.home, name, wait=True)
    run = get_run(flow.home, name)
    assert run.phase == "Succeeded"
    assert {n.display_name: n.attempt for n in run.nodes if n.type == "Pod"} == {"a": 0, "b": 1}
    assert _lines(ledger) == Counter({f"{name}[0].a": 1, f"{name}[1].b": 1})
    assert not _alive(child)


def test_a_supervisor_killed_under_a_living_engine_costs_one_attempt(
    flow: Any, shell_template: Any, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    name = flow.prepare(
        flow.manifest(
            _noted(shell_template, ledger, STAYS_ONCE),
            steps=[[{"name": "a", "template": "work", "arguments": _arguments(str(tmp_path / "stayed"))}]],
        )
    )
    flow.engine(name)
    folder = _begun(flow, name, "a")
    _stays(tmp_path / "stayed")
    os.kill(int((folder / "claim").read_text().split()[0]), signal.SIGKILL)
    run = flow.done(name)
    assert (run.phase, run.nodes[-1].attempt) == ("Succeeded", 1)
    assert sum(_lines(ledger).values()) == 1


def test_two_engines_never_work_on_the_same_run(flow: Any, shell_template: Any) -> None:
    steps = [[{"name": "a", "template": "work"}]]
    name = flow.prepare(flow.manifest(shell_template("sleep 30"), steps=steps))
    engine = flow.engine(name)
    flow.wait(name, lambda run: run.engine is not None)
    with pytest.raises(Conflict, match=str(engine.pid)):
        resume(flow.home, name)
    with pytest.raises(Conflict, match=f"process {engine.pid}"):
        Engine(flow.home, name)


def test_a_torn_last_line_of_the_journal_is_left_out(flow: Any, shell_template: Any, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    steps = [
        [{"name": n, "template": "work", "arguments": _arguments(s)}]
        for n, s in (("a", "/"), ("b", str(gate)))
    ]
    name = flow.prepare(flow.manifest(_noted(shell_template, ledger, GATED), steps=steps))
    engine = flow.engine(name)
    flow.wait(name, lambda run: any(n.display_name == "b" for n in run.nodes))
    _kill(engine)
    with flow.folder(name).journal.open("ab") as file:
        file.write(b'{"kind":"node","na')
    assert get_run(flow.home, name).phase == "Running"
    gate.touch()
    resume(flow.home, name, wait=True)
    assert get_run(flow.home, name).phase == "Succeeded"
    assert set(_lines(ledger).values()) == {1}


def test_an_ended_run_is_not_resumed(flow: Any, shell_template: Any) -> None:
    run = flow.run(flow.manifest(shell_template("true"), steps=[[{"name": "a", "template": "work"}]]))
    with pytest.raises(Conflict, match="has ended"):
        resume(flow.home, run.name)


def test_a_lock_that_a_dead_engine_left_with_its_child_is_waited_for(flow: Any, shell_template: Any) -> None:
    """An engine that is killed between fork and exec of a child leaves it the lock for that moment."""
    name = flow.prepare(flow.manifest(shell_template("true"), steps=[[{"name": "a", "template": "work"}]]))
    dead = subprocess.Popen(["true"])
    dead.wait()
    with flow.folder(name).lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(dead.pid).encode())
        lock.flush()
        assert get_run(flow.home, name).engine is None
        release = threading.Timer(0.3, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        resume(flow.home, name, wait=True)
        release.join()
    assert get_run(flow.home, name).phase == "Succeeded"


_SECONDS = st.sampled_from([0, 0, 0.05, 0.2])
_STEP = st.fixed_dictionaries(
    {
        "seconds": _SECONDS,
        "kind": st.sampled_from(
            ["plain", "plain", "plain", "skipped", "retried", "continued", "failed", "loop", "dag"]
        ),
    }
)


@st.composite
def _flows(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    groups = draw(st.lists(st.lists(_STEP, min_size=1, max_size=3), min_size=1, max_size=4))
    return [[{**step, "name": f"s{g}{i}"} for i, step in enumerate(group)] for g, group in enumerate(groups)]


def _step(step: dict[str, Any]) -> dict[str, Any]:
    kind = step["kind"]
    code = {"continued": "1", "failed": "1", "retried": "$(({{retries}} < 1))"}.get(kind, "0")
    made = {"name": step["name"], "template": "work", "arguments": _arguments(step["seconds"], code)}
    if kind == "skipped":
        made["when"] = "1 == 2"
    elif kind == "retried":
        made |= {"template": "again", "arguments": {"parameters": [{"name": "s", "value": step["seconds"]}]}}
    elif kind == "continued":
        made["continueOn"] = {"failed": True}
    elif kind == "loop":
        made["withItems"] = ["x", "y"]
    elif kind == "dag":
        made |= {
            "template": "diamond",
            "arguments": {"parameters": [{"name": "s", "value": step["seconds"]}]},
        }
    return made


def _flow_manifest(flow: Any, shell: Any, groups: list[list[dict[str, Any]]], ledger: Path) -> dict[str, Any]:
    again = shell(
        'sleep "$1"; echo "$0" >> "$2"; [ "$3" = 1 ]',
        "{{node.name}}/{{retries}}",
        "{{inputs.parameters.s}}",
        str(ledger),
        "{{retries}}",
        inputs=["s"],
        name="again",
        retryStrategy={"limit": 2},
    )
    passed = _arguments(0)
    passed["parameters"][0]["value"] = "{{inputs.parameters.s}}"
    diamond = {
        "name": "diamond",
        "inputs": {"parameters": [{"name": "s"}]},
        "dag": {
            "tasks": [
                {"name": "top", "template": "work", "arguments": passed},
                {"name": "left", "template": "work", "depends": "top", "arguments": passed},
                {"name": "right", "template": "work", "depends": "top", "arguments": passed},
                {"name": "never", "template": "work", "depends": "top.Failed", "arguments": passed},
            ]
        },
    }
    return (
        flow.manifest(
            _noted(shell, ledger),
            again,
            diamond,
            steps=[[_step(step) for step in group] for group in groups],
            onExit="bye",
        )
        | {}
    )


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(groups=_flows(), kills=st.lists(st.floats(0.05, 0.9), min_size=1, max_size=3))
def test_killed_at_random_moments_every_finished_step_ran_exactly_once(
    flow: Any, shell_template: Any, tmp_path: Path, groups: list[list[dict[str, Any]]], kills: list[float]
) -> None:
    results = []
    for disturbed in (False, True):
        ledger = tmp_path / f"ledger-{disturbed}"
        ledger.unlink(missing_ok=True)
        manifest = _flow_manifest(flow, shell_template, groups, ledger)
        manifest["spec"]["templates"].append(
            shell_template('echo "$0" >> "$1"', "{{node.name}} {{workflow.status}}", str(ledger), name="bye")
        )
        name = flow.prepare(manifest)
        for pause in kills if disturbed else []:
            engine = flow.engine(name)
            time.sleep(pause)
            _kill(engine)
        with contextlib.suppress(Conflict):
            resume(flow.home, name, wait=True)
        run = get_run(flow.home, name)
        lines = Counter({line.replace(name, "$", 1): count for line, count in _lines(ledger).items()})
        assert set(lines.values()) == {1}, lines
        ran = {n.name.replace(name, "$", 1) for n in run.nodes if n.type == "Pod"}
        assert len(lines) == len(ran)
        assert all(node.attempt <= 1 for node in run.nodes)
        results.append(
            (run.phase, {n.name.replace(name, "$", 1): (n.type, n.phase) for n in run.nodes}, lines)
        )
        shutil.rmtree(flow.folder(name).path)
    assert results[0] == results[1]
