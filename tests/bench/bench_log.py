"""What the prediction log and the shadow cost a request: the same bundle served without and with them, in short turns.

    python tests/bench/bench_log.py [--turns 30] [--seconds 1] [--paced] [--json FILE]

Needs `wrk`. Turns alternate, so what else the machine does falls on all; figures are medians over turns, and ratios are
medians of the ratios to the turn without anything beside them. *Everything* is the log, the inputs kept, and a copy of
the inputs to a canary that answers and logs on the same machine. One and eight clients ask as fast as they are
answered; the four of the last rows pause between requests, as clients do (`--paced`: these rows alone).

Before them the same without HTTP: the least time of many short rounds of one digit's way from bytes to JSON.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import serve_models  # noqa: E402
from tests.bench.bench_serve import cpu_seconds  # noqa: E402
from tests.support.servers import Server  # noqa: E402
from tests.support.serving import serve  # noqa: E402

_LUA = """
wrk.method = "POST"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
delay = function() return {pause} end
done = function(summary, latency, requests)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.status + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, bad, latency:percentile(50),
    latency:percentile(95)))
end
"""
_RESULT = re.compile(r"RESULT (\d+) (\d+) (\d+) (\d+)")


def in_process(folder: Path, rounds: int = 80, calls: int = 400) -> dict[str, float]:
    """µs of one digit: without the log, with it, and with it when the picture is measured too."""
    from services.bundle.reader import read_bundle
    from services.serve.app import create_app
    from services.serve.settings import ServeSettings

    bundle, data = read_bundle(serve_models.tiny_digits(folder)), serve_models.digit_png(3)
    without = create_app(bundle, ServeSettings(bundle=folder))
    with_log = create_app(bundle, ServeSettings(bundle=folder, log_dir=folder / "spool", log_bytes=8 << 30))
    measured = create_app(bundle, ServeSettings(bundle=folder, log_dir=folder / "third", log_bytes=8 << 30))
    assert with_log.log is not None and measured.log is not None
    with_log.log.wants_features = lambda: False  # type: ignore[method-assign]
    measured.log.wants_features = lambda: True  # type: ignore[method-assign]
    sides = {"without": without, "with": with_log, "with, measured": measured}
    least = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, app in sides.items():
            began = time.perf_counter()
            for _ in range(calls):
                app.predict.quick(data, began)
            least[name] = min(least[name], (time.perf_counter() - began) / calls * 1e6)
    for app in sides.values():
        app.close()
    return least


def turn(server: Server, script: Path, clients: int, seconds: float) -> dict[str, float]:
    """Requests a second, p50 and p95 in ms, processor µs a request."""
    before = cpu_seconds(server)
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "-s", str(script), f"{server.url}/predict"]
    found = _RESULT.search(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found is not None
    requests, bad, p50, p95 = map(int, found.groups())
    assert bad == 0 < requests, f"{bad} of {requests} requests failed"
    cpu = (cpu_seconds(server) - before) / requests * 1e6
    return {"rate": requests / seconds, "p50": p50 / 1000, "p95": p95 / 1000, "cpu": cpu}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as name:
        results["in process"] = in_process(Path(name))
    print(
        "A digit in process, µs: "
        + ", ".join(f"{k} {v:.1f}" for k, v in results["in process"].items())
        + "\n"
    )
    if shutil.which("wrk") is None:
        print("over HTTP: not measured, wrk is not installed")
        return 0
    print("| Input | Clients | What | without | log | ratio | everything | ratio |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as name:
        folder = Path(name)
        clip = serve_models.SOUNDS["10 s clip, mel-cnn"]
        cases = (
            ("digit, tiny network", serve_models.tiny_digits, serve_models.digit_png(3), 20),
            ("digit, family cnn", serve_models.cnn_digits, serve_models.digit_png(3), 20),
            ("10 s clip, mel-cnn", clip, serve_models.clip(), 200),
        )
        for number, (title, make, data, pause) in enumerate(cases):
            here = folder / str(number)
            here.mkdir()
            bundle = make(here)
            (here / "body").write_bytes(data)
            without = serve(bundle, here).start()
            with_log = serve(bundle, here, log_dir=str(here / "spool"), log_bytes=str(8 << 30)).start()
            logged = {"log_bytes": str(8 << 30), "log_inputs": "true"}
            canary = serve(bundle, here, log_dir=str(here / "canary"), **logged).start()
            every = serve(bundle, here, log_dir=str(here / "every"), shadow_url=canary.url, **logged).start()
            try:
                for clients, waits in ((4, pause),) if options.paced else ((1, 0), (8, 0), (4, pause)):
                    sides = (without, with_log, every)
                    script = _LUA.replace("{body}", str(here / "body")).replace("{pause}", str(waits))
                    (here / "post.lua").write_text(script)
                    results[f"{title}, {clients}"] = compare(title, clients, sides, here, options)
            finally:
                for server in (without, with_log, every, canary):
                    server.stop()
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def compare(
    title: str, clients: int, servers: Sequence[Server], folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Rows of one input and number of clients."""
    script = folder / "post.lua"
    found: list[list[dict[str, float]]] = [[] for _ in servers]
    for number in range(options.turns + 1):
        for side, server in enumerate(servers):
            measured = turn(server, script, clients, options.seconds)
            if number:
                found[side].append(measured)
    rows: dict[str, Any] = {}
    for key, text in (
        ("p50", "p50, ms"),
        ("p95", "p95, ms"),
        ("rate", "requests/s"),
        ("cpu", "processor, µs"),
    ):
        off, log, every = (statistics.median(item[key] for item in side) for side in found)
        ratios = [
            statistics.median(on[key] / base[key] for on, base in zip(side, found[0], strict=True))
            for side in found[1:]
        ]
        rows[key] = {"without": off, "log": log, "everything": every, "ratios": ratios}
        cells = f"{off:.3g} | {log:.3g} | {ratios[0]:.3f} | {every:.3g} | {ratios[1]:.3f}"
        print(f"| {title} | {clients} | {text} | {cells} |", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
