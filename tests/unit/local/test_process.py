"""The engine's side of step processes, and the files between both."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from services.common.errors import Unavailable
from services.common.files import write_json
from workflows.local import process
from workflows.local.process import Launcher


def test_a_fork_server_that_always_ends_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text("import os\nos._exit(1)\n")
    monkeypatch.setattr(process, "_MAX_RESTARTS", 2)
    launcher = Launcher(tmp_path, ["deadly"])
    try:
        launcher.start(tmp_path / "step")
        deadline = time.monotonic() + 60
        with pytest.raises(Unavailable, match="again and again"):
            while time.monotonic() < deadline:
                launcher.poll(0.1)
    finally:
        launcher.close()


def test_a_file_is_whole_although_the_system_takes_it_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    write_json(tmp_path / "exit.json", {"code": 0, "reason": None})
    assert json.loads((tmp_path / "exit.json").read_text()) == {"code": 0, "reason": None}
