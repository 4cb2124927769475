"""Format, validity, and Terraform's own tests with providers that do nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.tf.conftest import REPOSITORY, Tool

pytestmark = pytest.mark.timeout(900)
TF = REPOSITORY / "tf"
FOLDERS = sorted(
    {str(path.parent.relative_to(TF)) for path in TF.rglob("versions.tf") if ".terraform" not in path.parts}
)


def test_every_module_and_environment_is_seen() -> None:
    assert FOLDERS == [
        "envs/chameleon",
        "envs/chameleon/volume",
        "envs/libvirt",
        "modules/nodes-libvirt",
        "modules/nodes-openstack",
    ]


def test_the_files_are_formatted(terraform: Tool) -> None:
    done = terraform.run(TF, "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_it_is_valid(terraform: Tool, module_tree: Path, folder: str) -> None:
    terraform.init(module_tree / folder)
    done = terraform.run(module_tree / folder, "validate", "-json")
    said = json.loads(done.stdout)
    assert said["valid"], said["diagnostics"]
    # The OpenStack provider warns of a retired service whatever is written.
    assert [item for item in said["diagnostics"] if "neutron-lbaas" not in item.get("detail", "")] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_its_own_tests_pass(terraform: Tool, module_tree: Path, folder: str) -> None:
    terraform.init(module_tree / folder)
    done = terraform.run(module_tree / folder, "test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", done.stdout)


@pytest.mark.parametrize("folder", FOLDERS)
def test_providers_are_pinned(folder: str) -> None:
    text = (TF / folder / "versions.tf").read_text()
    assert re.findall(r' {6}version = "([^"]+)"', text) in (["0.8.3"], ["1.54.1"])
    assert 'required_version = ">= 1.9"' in text


def test_no_output_and_no_user_data_names_a_secret() -> None:
    for path in TF.rglob("*.tf*"):
        if path.is_file() and ".terraform" not in path.parts:
            text = path.read_text()
            assert not re.search(r"PRIVATE KEY|password\s*=|secret\s*=|token\s*=", text), path
