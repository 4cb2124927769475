from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from services.observe import programs
from services.observe.__main__ import main
from services.observe.settings import ObserveSettings


def settings(tmp_path: Path, **more: object) -> ObserveSettings:
    return ObserveSettings(state_dir=tmp_path / "state", programs=tmp_path, **more)  # type: ignore[arg-type]


def test_both_servers_listen_on_this_machine_alone(tmp_path: Path) -> None:
    for name, port in (("prometheus", 4000), ("prometheus-alertmanager", 4093)):
        (tmp_path / name).touch()
        words = programs.command(name.removeprefix("prometheus-"), settings(tmp_path))
        assert words[0] == str(tmp_path / name)
        assert f"--web.listen-address=127.0.0.1:{port}" in words


def test_a_program_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"run \.ci/prometheus"):
        programs.command("prometheus", settings(tmp_path))


def test_the_process_becomes_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, words: became.append(words))
    monkeypatch.setenv("ROOKERY_OBSERVE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ROOKERY_OBSERVE_PROGRAMS", str(tmp_path))
    assert main(["prometheus"]) == 1
    assert "there is no prometheus" in capsys.readouterr().err
    (tmp_path / "prometheus").touch()
    main(["prometheus"])
    assert became[0][0] == str(tmp_path / "prometheus")
    assert (tmp_path / "state" / "prometheus.yml").is_file()
    assert main(["configure"]) == 0


def test_settings_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="application, environment and port"):
        ObserveSettings.read(environment_url="http://{host}")
    monkeypatch.setenv("ROOKERY_OBSERVE_TARGETS", json.dumps({"train": "127.0.0.1:9090"}))
    assert ObserveSettings.read(p95_seconds=2).limits().p95_seconds == 2
