"""What a step costs besides its work: the local engine beside Prefect, Metaflow and Argo.

    python tests/bench/bench_engine.py [--rounds 5] [--peers FOLDER] [--json FILE] [--only rookery]

Each engine runs chains of 3 and of 10 trivial steps, rounds alternate. "a step" is the slope, (t10 - t3) / 7: what one
more step costs (t10 / 10 where noise hides it). "first" is the rest, t3 - 3 slopes: what a run costs before its first
step. Peers are installed once into environments of their own in FOLDER (requirements/bench-engine-*.txt); one that
cannot be installed or run is named in the table. Prefect's tasks run as functions inside the flow's process, against
its own temporary server, started and warmed before the clock; Metaflow's steps and ours are processes of their own.
Argo's figures are constants measured on a real controller of one node: three sequential echo steps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from workflows.local.engine import get_run, submit  # noqa: E402 - found by the path above
from workflows.local.templates import TemplateStore  # noqa: E402 - likewise

SHORT, LONG = 3, 10
AIM_SECONDS = 0.3
ARGO = {"Argo, default requeue (10 s)": 30.4, "Argo, requeue 100 ms": 16.5, "Argo, one containerSet": 8.05}
IMAGE = "rookery/workflow:0.1.0"

_PREFECT = """
import sys, time
from prefect import flow, task

@task
def step(value):
    return value + 1

@flow
def chain(count):
    value = 0
    for _ in range(count):
        value = step(value)
    return value

chain(1)
for count in (int(text) for text in sys.argv[1:]):
    began = time.perf_counter()
    assert chain(count) == count
    print("SECONDS", count, time.perf_counter() - began, flush=True)
"""


def rookery_manifest(count: int, *, hera: bool) -> dict[str, Any]:
    """A chain of steps: Hera runner scripts as ours are, or plain containers."""
    if hera:
        work: dict[str, Any] = {
            "script": {
                "image": IMAGE,
                "command": ["python"],
                "source": "{{inputs.parameters}}",
                "args": ["-m", "hera.workflows.runner", "-e", "os.path:basename"],
            },
        }
    else:
        work = {"container": {"image": IMAGE, "command": ["true"]}}
    argument = {"parameters": [{"name": "p", "value": "/a/b"}]}
    steps = [[{"name": f"s{i}", "template": "work", "arguments": argument}] for i in range(count)]
    work |= {"name": "work", "inputs": {"parameters": [{"name": "p"}]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "bench-"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "steps": steps}, work]},
    }


def run_rookery(folder: Path, count: int, *, hera: bool) -> float:
    """Seconds from submitting to the end, with an engine of its own as users have it."""
    began = time.time()
    name = submit(rookery_manifest(count, hera=hera), {}, home=folder / "home", templates=TemplateStore(None))
    while True:
        run = get_run(folder / "home", name)
        if run.done:
            assert run.phase == "Succeeded", run
            assert run.finished is not None
            return run.finished - began
        time.sleep(0.05)


def run_prefect(folder: Path, python: Path, counts: list[int]) -> list[float]:
    """Seconds of each chain, in one process after a first chain."""
    script = folder / "prefect_chain.py"
    script.write_text(_PREFECT)
    env = {
        **os.environ,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "HOME": str(folder),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [python, script, *map(str, counts)],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    if len(lines) != len(counts):
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no output")
    return [float(line[2]) for line in lines]


def run_metaflow(folder: Path, python: Path, count: int) -> float:
    """Seconds of one `run` of a chain, start and end counted as steps."""
    names = ["start", *(f"s{i}" for i in range(count - 2)), "end"]
    body = [
        f"    @step\n    def {name}(self):\n        "
        + (f"self.next(self.{names[i + 1]})" if i + 1 < count else "pass")
        for i, name in enumerate(names)
    ]
    script = folder / f"metaflow_chain_{count}.py"
    head = "from metaflow import FlowSpec, step\n\nclass Chain(FlowSpec):\n"
    script.write_text(head + "\n".join(body) + "\n\nif __name__ == '__main__':\n    Chain()\n")
    env = {**os.environ, "HOME": str(folder), "METAFLOW_USER": "bench", "METAFLOW_DEFAULT_DATASTORE": "local"}
    env |= {"METAFLOW_DEFAULT_METADATA": "local", "METAFLOW_DISABLE_TRACING": "1"}
    began = time.perf_counter()
    done = subprocess.run(
        [python, script, "--quiet", "run"],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return time.perf_counter() - began


def environment(peers: Path, name: str) -> Path:
    """The peer's interpreter, installed when it is not there."""
    folder = peers / name
    python = folder / "bin" / "python"
    requirements = ROOT / "requirements" / f"bench-engine-{name}.txt"
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != requirements.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "-q", "-r", requirements]
        uv = shutil.which("uv")
        if uv:
            install = [uv, "pip", "install", "-q", "--python", python, "-r", requirements]
        subprocess.run(install, check=True)
        ready.write_text(requirements.read_text())
    return python


def table(
    times: dict[str, dict[int, list[float]]], failed: dict[str, str]
) -> tuple[list[str], dict[str, Any]]:
    """The table's lines, and the same as data."""
    lines = [f"{'engine':<34} {'3 steps':>9} {'10 steps':>9} {'a step':>9} {'first':>9}  times ours"]
    data: dict[str, Any] = {}
    base: float | None = None
    for name, runs in times.items():
        short, long = statistics.median(runs[SHORT]), statistics.median(runs[LONG])
        slope = (long - short) / (LONG - SHORT) if long > short else long / LONG
        base = base or slope
        data[name] = {
            "short": short,
            "long": long,
            "a_step": slope,
            "first": short - SHORT * slope,
            "ratio": slope / base,
        }
        first = short - SHORT * slope
        lines.append(
            f"{name:<34} {short:>8.2f}s {long:>8.2f}s {slope:>8.3f}s {first:>8.2f}s {slope / base:>8.1f}×"
        )
    for name, total in ARGO.items():
        data[name] = {"short": total, "a_step": total / SHORT, "ratio": total / SHORT / (base or 1)}
        lines.append(
            f"{name:<34} {total:>8.2f}s {'':>9} {total / SHORT:>8.3f}s {'':>9} {total / SHORT / (base or 1):>8.1f}×"
        )
    lines += [f"{name:<34} not measured: {why}" for name, why in failed.items()]
    return lines, data


def main() -> int:
    """Runs all rounds and prints the table; 1 when the aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "rookery-bench-peers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="rookery,prefect,metaflow")
    options = parser.parse_args()
    only = options.only.split(",")
    failed: dict[str, str] = {}
    times: dict[str, dict[int, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as temporary:
        folder = Path(temporary)
        runners: dict[str, Callable[[int], float]] = {}
        if "rookery" in only:
            runners["rookery, Hera runner scripts"] = lambda count: run_rookery(folder, count, hera=True)
            runners["rookery, containers"] = lambda count: run_rookery(folder, count, hera=False)
        pythons: dict[str, Path] = {}
        for name in ("prefect", "metaflow"):
            if name in only:
                try:
                    pythons[name] = environment(options.peers.resolve(), name)
                except (OSError, subprocess.CalledProcessError) as error:
                    failed[name] = str(error)
        if "metaflow" in pythons:
            runners["Metaflow 2.19"] = lambda count: run_metaflow(folder, pythons["metaflow"], count)
        for _ in range(options.rounds):
            for name, run in runners.items():
                for count in (SHORT, LONG):
                    if name not in failed:
                        try:
                            times.setdefault(name, {SHORT: [], LONG: []})[count].append(run(count))
                        except (RuntimeError, subprocess.SubprocessError) as error:
                            failed[name] = str(error)
                            times.pop(name, None)
        if "prefect" in pythons:
            counts = [SHORT, LONG] * options.rounds
            try:
                seconds = run_prefect(folder, pythons["prefect"], counts)
                times["Prefect 3.8, in one process"] = {SHORT: seconds[::2], LONG: seconds[1::2]}
            except (RuntimeError, subprocess.SubprocessError) as error:
                failed["Prefect 3.8"] = str(error)
    lines, data = table(times, failed)
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(data, indent=2) + "\n")
    ours = data.get("rookery, Hera runner scripts")
    return 1 if ours and ours["a_step"] > AIM_SECONDS else 0


if __name__ == "__main__":
    raise SystemExit(main())
