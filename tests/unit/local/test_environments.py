"""The loop of an environment outlives what it did not expect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from workflows.local.environments import Environment
from workflows.local.processes import read_json
from workflows.local.serving import Release
from workflows.local.settings import PlatformSettings


class BrokenStore:
    """Fails in a way that no store should."""

    def __init__(self) -> None:
        self.asked = 0

    def unpack(self, *_: Any) -> None:
        self.asked += 1
        raise KeyError("config")


def test_an_unforeseen_error_is_reported_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PlatformSettings(home=tmp_path, deploy_backoff_seconds=0.05)
    folder = tmp_path / "deploy" / "digits" / "staging"
    folder.mkdir(parents=True)
    environment, store = Environment(settings, folder), BrokenStore()
    monkeypatch.setattr(environment, "_store", store)
    monkeypatch.setattr(environment, "_sockets", _NoSockets())
    environment.start()
    try:
        environment.want(Release("digits", "staging", "sha256:1", "sha256:2", "1", 1, "c"))
        deadline = time.monotonic() + 60
        while store.asked < 2:
            assert environment.is_alive() and time.monotonic() < deadline
            time.sleep(0.02)
        status = read_json(folder / "status.json")
        assert "KeyError" in str(status["reason"]) or status["phase"] == "starting"
    finally:
        environment.end()
        environment.join(60)


class _NoSockets:
    def close(self, *_: Any) -> None:
        pass
