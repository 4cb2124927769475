"""A short simulated year with every real part: the loop wins, and leaves nothing running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gitops import REPOSITORY
from tests.support.platform import port_base, small_checkout
from workflows.local import platform
from workflows.local.settings import PlatformSettings

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]


def simulate(home: Path, checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "ROOKERY_REPOSITORY": str(checkout),
        "ROOKERY_START_SECONDS": "300",
        "ROOKERY_PORT_BASE": port_base(),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "workflows.cli", "--home", str(home), "simulate", *options]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=850
    )


def test_the_loop_wins_a_short_year(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = simulate(home, small_checkout(tmp_path / "checkout"), "--months", "3", "--seed", "6", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    year = json.loads(done.stdout)
    assert year["won"] and year["low"] > 0
    assert [line.partition(":")[0] for line in year["lines"]] == ["with the loop", "without the loop"]
    steady, shift, after = year["months"]
    assert steady["kept"] == steady["alone"] > 0.9
    assert (shift["drift"], shift["decision"]) == ("drift", "retrain")
    assert shift["promoted"] == after["version"] == "2"
    assert shift["labelled"] > 40
    assert abs(shift["estimate"][0] - shift["kept"]) < 0.25
    names = {path.name for path in (home / "simulate").iterdir()}
    assert names == {"report.html", "chart.svg", "chart.png", "year.json"}
    assert not platform.running_processes(PlatformSettings(home=home / "simulate" / "platform"))


def test_a_year_that_cannot_be_played_is_refused(tmp_path: Path) -> None:
    done = simulate(tmp_path / "home", tmp_path, "--months", "2")
    assert done.returncode == 1
    assert done.stderr.startswith("error: a simulation of so many months is not possible (got 2)")
