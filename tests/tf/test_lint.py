"""tflint with all its rules and checkov find nothing in tf/; both find what is wrong where something is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.tf.conftest import REPOSITORY, TOOLS
from tests.tf.test_modules import FOLDERS

pytestmark = pytest.mark.timeout(1500)
TF = REPOSITORY / "tf"
WRONG = """
variable "unused" {}

provider "openstack" {
  password = "hunter2"
}

resource "openstack_networking_secgroup_rule_v2" "everybody" {
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = 22
  port_range_max    = 22
  remote_ip_prefix  = "0.0.0.0/0"
  security_group_id = "x"
}
"""


def installed(script: str) -> str:
    done = subprocess.run([TOOLS / script], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def tflint() -> str:
    return installed("tflint.sh")


@pytest.fixture(scope="module")
def checkov() -> str:
    return installed("checkov.sh")


def issues(tflint: str, folder: Path) -> list[str]:
    command = [
        tflint,
        f"--chdir={folder}",
        f"--config={TF / '.tflint.hcl'}",
        "--format=json",
        "--call-module-type=none",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = json.loads(done.stdout)
    assert not said["errors"], said["errors"]
    return [f"{issue['rule']['name']}: {issue['message']}" for issue in said["issues"]]


def scan(checkov: str, folder: Path) -> dict[str, Any]:
    options = ["--framework", "terraform", "--output", "json", "--compact", "--quiet", "--skip-download"]
    done = subprocess.run(
        [checkov, "--directory", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return report


@pytest.mark.parametrize("folder", FOLDERS)
def test_tflint_finds_nothing(tflint: str, folder: str) -> None:
    assert issues(tflint, TF / folder) == []


def test_checkov_finds_nothing(checkov: str) -> None:
    report = scan(checkov, TF)
    assert report["results"]["failed_checks"] == []
    assert report["summary"]["passed"] >= 5


def test_both_find_what_is_wrong(tflint: str, checkov: str, tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(WRONG)
    assert any("terraform_unused_declarations" in issue for issue in issues(tflint, tmp_path))
    found = {check["check_id"] for check in scan(checkov, tmp_path)["results"]["failed_checks"]}
    assert {"CKV_OPENSTACK_1", "CKV_OPENSTACK_2"} <= found
