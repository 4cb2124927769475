"""What a serving process is told: where it logs, and nothing that its own code does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.serve.settings import ServeSettings
from tests.support.gitops import REPOSITORY
from workflows.local.serving import Release, _environment
from workflows.local.settings import PlatformSettings

RELEASE = Release("digits", "production", "sha256:1", "sha256:2", "7", 8082, "c0ffee")


def rootfs(folder: Path, text: str | None = None) -> Path:
    code = folder / "app" / "services" / "serve"
    code.mkdir(parents=True)
    known = (REPOSITORY / "services" / "serve" / "settings.py").read_text()
    (code / "settings.py").write_text(known if text is None else text)
    return folder


def test_each_environment_logs_to_a_folder_of_its_own_and_keeps_inputs(tmp_path: Path) -> None:
    found = _environment(PlatformSettings(home=tmp_path), RELEASE, rootfs(tmp_path / "image"))
    assert found["ROOKERY_SERVE_LOG_DIR"] == str(tmp_path / "spool" / "digits-production")
    assert found["ROOKERY_SERVE_LOG_INPUTS"] == "true"


def test_inputs_are_not_kept_where_the_user_says_so(tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path, keep_inputs=False)
    assert _environment(settings, RELEASE, rootfs(tmp_path / "i"))["ROOKERY_SERVE_LOG_INPUTS"] == "false"


def test_settings_of_the_log_are_passed_on_and_its_place_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOKERY_SERVE_LOG_SEGMENT_SECONDS", "0.5")
    monkeypatch.setenv("ROOKERY_SERVE_LOG_DIR", "/elsewhere")
    monkeypatch.setenv("ROOKERY_SERVE_PORT", "9")
    found = _environment(PlatformSettings(home=tmp_path), RELEASE, rootfs(tmp_path / "image"))
    assert found["ROOKERY_SERVE_LOG_SEGMENT_SECONDS"] == "0.5"
    assert found["ROOKERY_SERVE_LOG_DIR"].startswith(str(tmp_path))
    assert "ROOKERY_SERVE_PORT" not in found


def test_code_that_is_older_is_told_only_what_it_knows(tmp_path: Path) -> None:
    older = "class ServeSettings:\n    log_dir: Path | None = None\n    port: int = 1\n"
    found = _environment(PlatformSettings(home=tmp_path), RELEASE, rootfs(tmp_path / "older", older))
    assert "ROOKERY_SERVE_LOG_DIR" in found
    assert "ROOKERY_SERVE_LOG_INPUTS" not in found
    oldest = _environment(PlatformSettings(home=tmp_path), RELEASE, tmp_path / "nothing")
    assert not [name for name in oldest if name.startswith("ROOKERY_SERVE_LOG")]


def test_the_server_accepts_all_that_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _environment(
        PlatformSettings(home=tmp_path), RELEASE, rootfs(tmp_path / "image")
    ).items():
        monkeypatch.setenv(name, value)
    assert ServeSettings().log_dir == tmp_path / "spool" / "digits-production"


def test_production_copies_its_inputs_to_canary_once_the_code_can(tmp_path: Path) -> None:
    release = Release(*RELEASE.__dict__.values())
    shadowed = Release(**{**release.__dict__, "shadow_port": 8080})
    image = rootfs(tmp_path / "image", "class ServeSettings:\n    shadow_url: str = ''\n")
    found = _environment(PlatformSettings(home=tmp_path), shadowed, image)
    assert found["ROOKERY_SERVE_SHADOW_URL"] == "http://127.0.0.1:8080"
    assert "ROOKERY_SERVE_SHADOW_URL" not in _environment(PlatformSettings(home=tmp_path), release, image)
    assert shadowed.key != release.key
