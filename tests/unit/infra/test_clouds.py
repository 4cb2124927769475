"""clouds.yaml is looked for where OpenStack's own tools look; what is wrong is said without its contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from workflows.infra import clouds


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OS_CLIENT_CONFIG_FILE", "OS_AUTH_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_the_file_in_this_folder_goes_before_the_one_at_home(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".config" / "openstack"
    home.mkdir(parents=True)
    (home / "clouds.yaml").write_text("clouds: {openstack: {}}")
    assert clouds.check("openstack") == home / "clouds.yaml"
    (tmp_path / "here" / "clouds.yaml").write_text("clouds: {openstack: {}}")
    assert clouds.check("openstack") == tmp_path / "here" / "clouds.yaml"


def test_a_named_file_goes_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("clouds: {tacc: {}}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "mine.yaml"))
    assert clouds.check("tacc") == tmp_path / "mine.yaml"


def test_without_a_file_the_places_are_told() -> None:
    with pytest.raises(
        NotFound, match=r"no clouds.yaml with the entry 'openstack'.*/etc/openstack/clouds.yaml"
    ):
        clouds.check("openstack")


def test_another_entry_is_told_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "here" / "clouds.yaml").write_text("clouds: {tacc: {auth: {password: hunter2}}}")
    with pytest.raises(NotFound, match=r"no entry of this name.*'openstack'.*tacc") as refused:
        clouds.check("openstack")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "clouds:", "[1, 2]", "clouds: {a: b: c}", "{"])
def test_what_is_no_clouds_yaml_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "here" / "clouds.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"is no clouds\.yaml"):
        clouds.check("openstack")


def test_no_entry_means_the_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="OS_AUTH_URL is not set"):
        clouds.check("")
    monkeypatch.setenv("OS_AUTH_URL", "https://keystone.example.org/v3")
    assert clouds.check("") is None
