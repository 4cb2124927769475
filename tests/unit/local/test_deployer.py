"""What the deployer says of a remote that it cannot read."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from workflows.local import deployer as module
from workflows.local.deployer import Deployer
from workflows.local.settings import PlatformSettings


def test_a_remote_that_stays_away_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []
    original = module.read_tip

    def counted(path: Path) -> str:
        asked.append(path)
        return original(path)

    monkeypatch.setattr(module, "read_tip", counted)
    deployer = Deployer(PlatformSettings(home=tmp_path, deploy_poll_seconds=0.01))
    thread = threading.Thread(target=deployer.run)
    with caplog.at_level(logging.ERROR):
        thread.start()
        deadline = time.monotonic() + 60
        while len(asked) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        deployer.end()
        thread.join(60)
    assert len(asked) >= 5
    assert len(caplog.records) == 1
