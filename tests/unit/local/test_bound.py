"""A process that is bound to its parent; how it dies with it is in test_processes.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from workflows.local import bound


def test_one_whose_parent_is_gone_before_it_begins_does_not_begin(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-IS", bound.__file__, "1", "touch", str(tmp_path / "begun")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1 and "gone" in done.stderr and not (tmp_path / "begun").exists()


def test_it_becomes_the_command_with_its_arguments(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-IS", bound.__file__, str(os.getpid()), "printf", "%s-", "a b", "c"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "a b-c-")
