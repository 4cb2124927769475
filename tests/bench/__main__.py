"""Every benchmark, one after the other: `python -m tests.bench [NAME …]`, which `make bench` calls.

Each prints a table of medians, with ratios to what a user would pick instead, measured in the same run. Peers get
environments of their own in .cache/bench, made by uv the first time. Close other programs first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = REPOSITORY / ".cache" / "bench"
UV = REPOSITORY / ".cache" / "uv" / "bin"

BENCHES: dict[str, list[str]] = {
    "engine": ["tests/bench/bench_engine.py", "--peers", str(PEERS)],
    "train": ["tests/bench/bench_train.py"],
    "serve": ["tests/bench/bench_serve.py", "--peers", str(PEERS)],
    "mel": ["tests/bench/bench_mel.py"],
    "image": ["tests/bench/bench_image.py"],
    "deploy": ["tests/bench/bench_deploy.py"],
    "log": ["tests/bench/bench_log.py"],
    "drift": ["tests/bench/bench_drift.py"],
    "board": ["tests/bench/bench_board.py"],
}


def librosa(environment: dict[str, str]) -> str:
    """A folder with librosa, for the Python that runs this."""
    folder = PEERS / "librosa"
    if not (folder / "librosa").is_dir():
        command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
        subprocess.run(
            [*command, "-r", "requirements/bench.txt"], cwd=REPOSITORY, env=environment, check=False
        )
    return str(folder)


def main() -> int:
    """Run the named benchmarks, all by default; the exit code says whether one failed."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    environment = {**os.environ, "PATH": f"{UV}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    failed = []
    for name in names:
        print(f"\n# {name}\n", flush=True)
        if name == "serve" and shutil.which("wrk") is None:
            print("wrk is missing: install Debian's package wrk")
            failed.append(name)
            continue
        own = dict(environment)
        if name == "mel":
            own["PYTHONPATH"] += f":{librosa(environment)}"
        done = subprocess.run([sys.executable, *BENCHES[name]], cwd=REPOSITORY, env=own, check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
