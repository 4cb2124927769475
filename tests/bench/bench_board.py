"""What a page of the board costs: three applications, thirty workflows, warm, one reader.

    python tests/bench/bench_board.py [--looks 100]

Times are of whole answers over HTTP on this machine. Between two looks there is a pause, so that what is read in the
background is in the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.board import PAGE, World, board, log_in  # noqa: E402
from tests.support.gitops import git  # noqa: E402
from workflows.release.application import ApplicationFacts, create_application  # noqa: E402

PATHS = ("/", "/applications/digits", "/applications/digits/staging", "/runs", "/decisions")
RUNS = 30


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--looks", type=int, default=100)
    looks = parser.parse_args().looks
    with tempfile.TemporaryDirectory() as name:
        world = filled(Path(name))
        with board(world) as client:
            log_in(client)
            print(f"{'page':<32} {'p50 ms':>8} {'p95 ms':>8} {'most ms':>8} {'kB':>6}")
            for path in PATHS:
                times, size = [], 0
                client.get(path, headers=PAGE)
                time.sleep(1.5)
                for _ in range(looks):
                    began = time.perf_counter()
                    answer = client.get(path, headers=PAGE)
                    times.append(1000 * (time.perf_counter() - began))
                    size = len(answer.content)
                    assert answer.status_code == 200
                    time.sleep(0.05)
                times.sort()
                middle, late = times[looks // 2], times[int(0.95 * looks)]
                print(f"{path:<32} {middle:8.1f} {late:8.1f} {times[-1]:8.1f} {size / 1000:6.1f}")
    return 0


def filled(folder: Path) -> World:
    """Three applications and thirty workflows."""
    world = World(folder)
    world.release(1)
    work = world.home / "work"
    git(work, "pull", "-q", str(world.remote.path), "main")
    for name in ("birds", "mushrooms"):
        facts = ApplicationFacts(name=name, title=name, kind="image", data_source="digits", model_name="cnn")
        create_application(work, facts)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "Two more applications")
    git(work, "push", "-q", str(world.remote.path), "HEAD:main")
    for _ in range(RUNS):
        run = world.run("train-model", {"application": "digits"})
        run.end(run.step("start"))
        run.step("train")
        run.save("Failed")
    return world


if __name__ == "__main__":
    sys.exit(main())
