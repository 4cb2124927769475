"""`rookery infra`: variables as they are given, and errors before anything is begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from workflows.cli import main
from workflows.commands.infra import complete_site, parse_variables, read_variables


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["infra", *arguments])
    return int(end.value.code or 0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOKERY_HOME", str(tmp_path))
    return tmp_path


def test_a_value_that_is_json_is_taken_as_that() -> None:
    given = [
        "node_count=3",
        'ssh_sources=["198.51.100.7/32"]',
        "suffix=ada",
        "base_image=a=b.qcow2",
        "pool_path=null",
    ]
    assert parse_variables(given) == {
        "node_count": 3,
        "ssh_sources": ["198.51.100.7/32"],
        "suffix": "ada",
        "base_image": "a=b.qcow2",
        "pool_path": None,
    }


@pytest.mark.parametrize("text", ["node_count", "=3", "node count=3"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="a variable is given as name=value"):
        parse_variables([text])


def test_variables_in_a_file_are_a_map(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("suffix: ada\nssh_sources: [198.51.100.7/32]\n")
    assert read_variables(path) == {"suffix": "ada", "ssh_sources": ["198.51.100.7/32"]}
    path.write_text("- a\n")
    with pytest.raises(InvalidInput, match="must be a map"):
        read_variables(path)
    path.write_text("{")
    with pytest.raises(InvalidInput, match="is no YAML"):
        read_variables(path)


def test_an_environment_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("up", "nowhere") == 1
    assert "allowed: chameleon, libvirt" in capsys.readouterr().err


def test_terraform_that_is_missing_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    monkeypatch.setenv("ROOKERY_INFRA_TERRAFORM", "/nowhere/terraform")
    assert run("up", "libvirt") == 1
    assert "Terraform is not installed" in capsys.readouterr().err
    assert not (home / "infra" / "libvirt" / "site.json").exists()


def test_without_credentials_openstack_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = tmp_path / "terraform"
    binary.write_text('#!/bin/sh\necho \'{"terraform_version": "1.11.4"}\'\n')
    binary.chmod(0o755)
    monkeypatch.setenv("ROOKERY_INFRA_TERRAFORM", str(binary))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run("up", "chameleon") == 1
    assert "there is no clouds.yaml with the entry 'openstack'" in capsys.readouterr().err


def test_a_misspelled_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOKERY_INFRA_TERAFORM", "x")
    assert run("plan", "libvirt") == 1
    assert "did you mean ROOKERY_INFRA_TERRAFORM?" in capsys.readouterr().err


def test_sites_and_environments_are_completed(home: Path) -> None:
    (home / "infra" / "lab").mkdir(parents=True)
    assert complete_site("") == ["chameleon", "lab", "libvirt"]
    assert complete_site("li") == ["libvirt"]
