"""Serving beside what a user would pick instead: requests a second at 8 clients, p99 at 1 client, a 10 s clip.

    python tests/bench/bench_serve.py [--seconds 3] [--rounds 3] [--peers FOLDER] [--json FILE] [--only rookery,bare]

Every server runs the same ONNX file on the same machine in the same run, one process each, all with ONNX Runtime on
one thread inside a request; rounds alternate between the servers. Peers are installed once into environments of
their own in FOLDER (requirements/bench-*.txt, by `uv` if it is on the path); one that cannot be installed is named
in the table. Needs `wrk`.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from services.bundle.reader import Bundle, read_bundle  # noqa: E402
from services.media.prepare import prepare  # noqa: E402
from tests.bench import serve_models  # noqa: E402
from tests.bench.serve_peers import PEERS, Peer  # noqa: E402
from tests.support.servers import Server, free_port  # noqa: E402

_LUA = """
wrk.method = "POST"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "{content_type}"
done = function(summary, latency, requests)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  io.write(string.format("RESULT %.3f %d %d %d\\n", summary.requests / summary.duration * 1e6, bad,
    latency:percentile(50), latency:percentile(99)))
end
"""
_RESULT = re.compile(r"RESULT (\S+) (\d+) (\d+) (\d+)")


@dataclass
class Case:
    """One server with one payload, and what was measured."""

    name: str
    server: Server
    body: bytes
    content_type: str
    path: str
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    failed: int = 0


def wrk(case: Case, folder: Path, connections: int, seconds: float) -> tuple[float, int, float, float]:
    """Requests a second, failures, and p50 and p99 in milliseconds."""
    body = folder / "body"
    body.write_bytes(case.body)
    script = folder / "post.lua"
    script.write_text(_LUA.format(body=body, content_type=case.content_type))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "-s",
        str(script),
        case.server.url + case.path,
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = _RESULT.search(output)
    assert found is not None, output
    rate, failed, p50, p99 = found.groups()
    return float(rate), int(failed), int(p50) / 1000, int(p99) / 1000


def start_rookery(bundle: Path, folder: Path) -> Server:
    """Our server as it is deployed, from the serving environment where there is one."""
    interpreter = ROOT / ".venv-serve" / "bin" / "python"
    port = free_port()
    command = [
        *(str(interpreter if interpreter.exists() else sys.executable), "-m", "services.serve"),
        *("--bundle", str(bundle), "--port", str(port)),
    ]
    server = Server(command, log=folder / "rookery.log", port=port, health="/readyz", cwd=ROOT)
    return server.start()


def payloads(bundle: Bundle, data: bytes) -> dict[str, Any]:
    """One input as each server takes it."""
    tensor = prepare(data, bundle.manifest.preprocessing).tensor
    return {
        "tensor": tensor,
        "raw": tensor.tobytes(),
        "json": json.dumps({"inputs": tensor.tolist()}).encode(),
    }


def cases_of(
    bundle_folder: Path, inputs: dict[str, bytes], peers: list[Peer], folder: Path, notes: list[str]
) -> list[Case]:
    """Every server that can be started, with its payloads."""
    bundle = read_bundle(bundle_folder)
    given = payloads(bundle, next(iter(inputs.values())))
    ours = start_rookery(bundle_folder, folder)
    cases = [
        Case(f"rookery, {name}", ours, data, "application/octet-stream", "/predict")
        for name, data in inputs.items()
    ]
    for peer in peers:
        try:
            server = peer.start(bundle_folder / "model.onnx", given["tensor"].shape, folder)
        except Exception as error:
            notes.append(f"{peer.name}: not measured ({str(error).strip().splitlines()[-1][:160]})")
            continue
        body, content_type, path = peer.payload(given)
        cases.append(Case(peer.name, server, body, content_type, path))
    return cases


def check(case: Case) -> None:
    """The server answers this payload with 200."""
    answer = httpx.post(
        case.server.url + case.path,
        content=case.body,
        headers={"content-type": case.content_type},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, (case.name, answer.status_code, answer.text[:500])


def measure(cases: list[Case], folder: Path, rounds: int, seconds: float) -> None:
    """Fill the cases, in alternating rounds."""
    for case in cases:
        check(case)
        wrk(case, folder, 8, 1)
    for _ in range(rounds):
        for case in cases:
            before = cpu_seconds(case.server)
            rate, failed, _, _ = wrk(case, folder, 8, seconds)
            case.cpu.append((cpu_seconds(case.server) - before) / max(1.0, rate * seconds) * 1e6)
            _, failed_alone, p50, p99 = wrk(case, folder, 1, seconds)
            case.rates.append(rate)
            case.p50.append(p50)
            case.p99.append(p99)
            case.failed += failed + failed_alone


def cpu_seconds(server: Server) -> float:
    """Processor time of a server with all its processes: a figure that a busy machine hardly changes."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == server.pid:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def clip_latency(server: Server, data: bytes, runs: int = 30) -> tuple[float, float]:
    """Median and p95 in milliseconds of one client that sends a clip and reads the answer."""
    taken = []
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        for _ in range(runs + 3):
            began = time.perf_counter()
            client.post("/predict", content=data).raise_for_status()
            taken.append((time.perf_counter() - began) * 1000)
    taken = sorted(taken[3:])
    return statistics.median(taken), taken[int(len(taken) * 0.95)]


def table(title: str, cases: list[Case]) -> list[dict[str, Any]]:
    """Print the medians with their ratio to the bare route; returns the rows."""
    bare = next(
        (statistics.median(case.rates) for case in cases if case.name.startswith("bare")), float("nan")
    )
    print(
        f"\n{title}\n\n| server | requests/s at 8 | spread | to bare | CPU µs a request "
        "| p50 at 1 (ms) | p99 at 1 (ms) | failed |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    rows = []
    for case in cases:
        rate = statistics.median(case.rates)
        spread = f"{min(case.rates):.0f} to {max(case.rates):.0f}"
        p50, p99 = statistics.median(case.p50), statistics.median(case.p99)
        cpu = statistics.median(case.cpu)
        start = f"| {case.name} | {rate:.0f} | {spread} | {rate / bare:.2f} | {cpu:.0f}"
        print(f"{start} | {p50:.2f} | {p99:.2f} | {case.failed} |")
        found = {"rate": rate, "to_bare": rate / bare, "cpu_us": cpu, "p50": p50, "p99": p99}
        rows.append({"server": case.name, **found})
    return rows


def main() -> int:
    """Measure and print; the exit code is 1 when a server answered with errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "rookery-bench")
    parser.add_argument("--only", default="", help="names of peers, comma-separated; empty: all")
    parser.add_argument("--digits", type=Path, help="bundle of digits; made here if not given")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("serve: not measured, wrk is not installed")
        return 0
    wanted = options.only.split(",") if options.only else None
    peers = [make(options.peers) for name, make in PEERS.items() if wanted is None or name in wanted]
    results: dict[str, Any] = {}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as name:
        folder = Path(name)
        pictures: dict[str, Callable[[Path], Path]] = {
            "digit, tiny network": serve_models.tiny_digits,
            "digit, family cnn": serve_models.cnn_digits,
        }
        for title, make in pictures.items():
            bundle = options.digits or make(folder)
            png = serve_models.digit_png(3)
            inputs = {"png": png, "npy": as_npy(png)}
            failed += run(title, bundle, inputs, peers, folder, options, results)
        for title, make in serve_models.SOUNDS.items():
            bundle = make(folder)
            failed += run_clip(title, bundle, folder, results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 1 if failed else 0


def run(
    title: str,
    bundle: Path,
    inputs: dict[str, bytes],
    peers: list[Peer],
    folder: Path,
    options: argparse.Namespace,
    results: dict[str, Any],
) -> int:
    """One table; returns the number of failed requests of our server."""
    notes: list[str] = []
    cases = cases_of(bundle, inputs, peers, folder, notes)
    try:
        measure(cases, folder, options.rounds, options.seconds)
        results[title] = table(title, cases)
        for note in notes:
            print(note)
    finally:
        for server in {id(case.server): case.server for case in cases}.values():
            server.stop()
    return sum(case.failed for case in cases if case.name.startswith("rookery"))


def run_clip(title: str, bundle: Path, folder: Path, results: dict[str, Any]) -> int:
    """A 10 s clip at 48 kHz, decode to answer, through HTTP."""
    clip = serve_models.clip()
    server = start_rookery(bundle, folder)
    try:
        alone, p95 = clip_latency(server, clip)
        case = Case("rookery", server, clip, "application/octet-stream", "/predict")
        rate, failed, _, _ = wrk(case, folder, 8, 5)
    finally:
        server.stop()
    size = sum(path.stat().st_size for path in bundle.iterdir()) / 1e6
    print(
        f"\n{title}: one client {alone:.1f} ms (p95 {p95:.1f}), 8 clients {rate:.1f}/s, bundle {size:.1f} MB"
    )
    results[title] = {"median_ms": alone, "p95_ms": p95, "rate": rate, "bundle_mb": size}
    return failed


def as_npy(png: bytes) -> bytes:
    """The pixels of a PNG as a .npy file."""
    from services.media.image import decode_image

    file = io.BytesIO()
    np.save(file, decode_image(png))
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
