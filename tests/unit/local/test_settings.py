"""Settings: environment over file over defaults, and nothing unknown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from workflows.local.settings import REPOSITORY, PlatformSettings, load_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PlatformSettings.model_fields:
        monkeypatch.delenv(f"ROOKERY_{name.upper()}", raising=False)


def test_defaults_lie_in_the_checkout_and_have_the_known_ports() -> None:
    settings = load_settings()
    assert settings.home == REPOSITORY / ".rookery"
    assert settings.repository == REPOSITORY
    assert (settings.mlflow_port, settings.train_port, settings.evaluate_port) == (8000, 9090, 8090)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rookery.toml").write_text("mlflow_port = 8001\ntrain_port = 9091\n")
    monkeypatch.setenv("ROOKERY_TRAIN_PORT", "9092")
    settings = load_settings(tmp_path)
    assert (settings.mlflow_port, settings.train_port, settings.evaluate_port) == (8001, 9092, 8090)


def test_the_given_home_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_HOME", str(tmp_path / "other"))
    assert load_settings().home == tmp_path / "other"
    assert load_settings(tmp_path / "mine").home == tmp_path / "mine"


def test_what_the_caller_says_is_never_replaced_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOKERY_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("ROOKERY_MLFLOW_PORT", "1234")
    settings = PlatformSettings(home=tmp_path / "mine", mlflow_port=5)
    assert (settings.home, settings.mlflow_port) == (tmp_path / "mine", 5)


def test_a_relative_home_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("state")).gitops == tmp_path / "state" / "gitops.git"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mlflow_prot = 1\n", "unknown setting 'mlflow_prot'"),
        ("mlflow_port = 70000\n", "setting 'mlflow_port' (ROOKERY_MLFLOW_PORT or rookery.toml)"),
        ("mlflow_port = \n", "is no TOML"),
        ("home = '/elsewhere'\n", "cannot set `home`"),
        ("stop_seconds = 0\n", "setting 'stop_seconds'"),
    ],
)
def test_a_wrong_file_is_refused_by_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rookery.toml").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path)
    assert message in str(caught.value)


def test_an_unknown_key_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "rookery.toml").write_text("ports = 1\n")
    with pytest.raises(InvalidInput, match="mlflow_port"):
        load_settings(tmp_path)


def test_a_wrong_variable_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOKERY_MLFLOW_PORT", "eight")
    with pytest.raises(InvalidInput, match="ROOKERY_MLFLOW_PORT"):
        load_settings(tmp_path)


def test_the_serving_interpreter_is_the_one_set_then_the_one_beside_then_this_one(tmp_path: Path) -> None:
    beside = tmp_path / ".venv-serve" / "bin" / "python"
    assert PlatformSettings(repository=tmp_path).interpreter() == Path(sys.executable)
    beside.parent.mkdir(parents=True)
    beside.touch()
    assert PlatformSettings(repository=tmp_path).interpreter() == beside
    assert PlatformSettings(repository=tmp_path, serve_python=Path("/p")).interpreter() == Path("/p")


def test_every_setting_is_described() -> None:
    assert [name for name, field in PlatformSettings.model_fields.items() if not field.description] == []
