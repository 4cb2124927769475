"""Small helpers of these tests."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


def run(command: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command with its output."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
