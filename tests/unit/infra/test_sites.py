"""A site remembers what it was given, and Terraform works in a copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from services.common.errors import Conflict, InvalidInput, NotFound
from workflows.infra.diagnosis import lost
from workflows.infra.sites import VOLUME, Site, locked, open_site, sites_with_state
from workflows.local.platform import purge
from workflows.local.settings import PlatformSettings

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(
        REPOSITORY / "tf",
        tmp_path / "checkout" / "tf",
        ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"),
    )
    return tmp_path / "checkout"


def opened(tmp_path: Path, repository: Path, name: str = "libvirt", **more: object) -> Site:
    return open_site(tmp_path / "home", repository, name, **more)  # type: ignore[arg-type]


def test_variables_are_remembered_and_the_newest_win(tmp_path: Path, repository: Path) -> None:
    opened(tmp_path, repository, variables={"base_image": "a", "node_count": 3}).save()
    site = opened(tmp_path, repository, variables={"node_count": 1})
    assert site.variables == {"base_image": "a", "node_count": 1}
    assert opened(tmp_path, repository).variables == {"base_image": "a", "node_count": 3}
    assert site.folder.stat().st_mode & 0o077 == 0


def test_a_site_with_a_name_of_its_own_stays_in_its_environment(tmp_path: Path, repository: Path) -> None:
    opened(tmp_path, repository, "lab", environment="libvirt").save()
    assert opened(tmp_path, repository, "lab").environment == "libvirt"
    with pytest.raises(Conflict, match="the site lab is in libvirt"):
        opened(tmp_path, repository, "lab", environment="chameleon")


@pytest.mark.parametrize(
    ("name", "more", "error", "said"),
    [
        ("../x", {}, InvalidInput, "a site's name"),
        ("Lab", {}, InvalidInput, "a site's name"),
        ("lab", {}, NotFound, "no environment of this name.*chameleon, libvirt"),
        ("libvirt", {"variables": {"node_cuont": 3}}, NotFound, "did you mean node_count"),
        ("chameleon", {"variables": {"volume_gib": 9, "x": 1}}, NotFound, "chameleon has no variable x"),
        (
            "libvirt",
            {"variables": {"base_image": "-----BEGIN RSA PRIVATE KEY-----"}},
            InvalidInput,
            "holds a private key",
        ),
        ("libvirt", {"identity": Path("/nowhere/key")}, NotFound, "there is no private key"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, repository: Path, name: str, more: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        opened(tmp_path, repository, name, **more)
    assert not (tmp_path / "home").exists()


def test_a_root_module_is_a_copy_with_the_variables_that_it_declares(
    tmp_path: Path, repository: Path
) -> None:
    site = opened(
        tmp_path, repository, "chameleon", variables={"suffix": "ada", "volume_gib": 9, "image": "i"}
    )
    root = site.stage("machines", None)
    assert json.loads((root / "terraform.tfvars.json").read_text()) == {"suffix": "ada", "image": "i"}
    assert str(site.state("machines")) in (root / "backend.tf").read_text()
    volume = site.stage(VOLUME, None, adopt=True)
    assert json.loads((volume / "terraform.tfvars.json").read_text()) == {
        "suffix": "ada",
        "volume_gib": 9,
        "adopt": True,
    }
    assert not list((repository / "tf").rglob("*.tfvars.json"))


def test_a_copy_follows_the_checkout(tmp_path: Path, repository: Path) -> None:
    site = opened(tmp_path, repository)
    root = site.stage("machines", None)
    (root / ".terraform.lock.hcl").write_text("kept")
    source = repository / "tf" / "envs" / "libvirt"
    (source / "more.tf").write_text("# new\n")
    site.stage("machines", None)
    assert (root / "more.tf").exists()
    (source / "more.tf").unlink()
    site.stage("machines", None)
    assert not (root / "more.tf").exists()
    assert (root / ".terraform.lock.hcl").read_text() == "kept"


def test_another_backend_is_a_file_with_a_place_for_each_state(tmp_path: Path, repository: Path) -> None:
    site, path = opened(tmp_path, repository), tmp_path / "backend.hcl"
    path.write_text(
        'terraform {\n  backend "http" {\n    address = "https://states.example.org/{site}/{layer}"\n  }\n}\n'
    )
    root = site.stage("machines", path)
    assert 'address = "https://states.example.org/libvirt/machines"' in (root / "backend.tf").read_text()
    path.write_text('terraform {\n  backend "http" {}\n}\n')
    with pytest.raises(InvalidInput, match=r"needs a backend block with \{site\} and \{layer\}"):
        site.stage("machines", path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        site.stage("machines", tmp_path / "nowhere.hcl")


def test_one_command_at_a_time(tmp_path: Path, repository: Path) -> None:
    site = opened(tmp_path, repository)
    with (
        locked(site),
        pytest.raises(Conflict, match="another command is at work on the site libvirt"),
        locked(site),
    ):
        pass
    with locked(site):
        pass


def test_a_state_that_is_gone_but_for_its_backup_is_noticed(tmp_path: Path, repository: Path) -> None:
    site = opened(tmp_path, repository)
    assert lost(site, "machines") is None
    site.folder.mkdir(parents=True)
    site.state("machines").with_name("machines.tfstate.backup").write_text("{}")
    assert "the one before it is still there" in str(lost(site, "machines"))
    site.state("machines").write_text("{}")
    assert lost(site, "machines") is None


def test_the_state_folder_is_not_deleted_while_machines_exist(tmp_path: Path, repository: Path) -> None:
    settings = PlatformSettings(home=tmp_path / "home", repository=repository)
    site = opened(tmp_path, repository)
    site.save()
    (settings.home / "gitops.git").mkdir()
    site.state("machines").write_text("{}")
    assert sites_with_state(settings.home) == ["libvirt"]
    with pytest.raises(Conflict, match="rookery infra down SITE"):
        purge(settings)
    site.state("machines").unlink()
    assert purge(settings)


def test_a_broken_memory_is_said_to_be(tmp_path: Path, repository: Path) -> None:
    site = opened(tmp_path, repository)
    site.folder.mkdir(parents=True)
    (site.folder / "site.json").write_text("{")
    with pytest.raises(InvalidInput, match="its variables are lost"):
        opened(tmp_path, repository)
