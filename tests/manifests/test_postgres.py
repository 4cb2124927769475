"""A password that would need quoting is refused before anything of PostgreSQL is made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.manifests import ROOT

SCRIPT = ROOT / "k8s/platform/postgres/prepare.sh"


@pytest.mark.parametrize(
    ("password", "said"),
    [("", "is empty"), ("it's", "allowed are letters"), ("a b", "allowed are letters"), ("a\\", "allowed")],
)
def test_a_password_that_would_need_quoting_is_refused(password: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(password)
    environment = {"DATA": str(tmp_path / "cluster"), "PASSWORD_FILE": str(tmp_path / "password")}
    done = subprocess.run(
        ["sh", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=10
    )
    assert done.returncode != 0 and said in done.stderr
    assert not password or password not in done.stderr
    assert not (tmp_path / "cluster").exists()


def test_the_folder_and_the_password_must_be_named() -> None:
    done = subprocess.run(["sh", SCRIPT], env={}, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode != 0 and "folder of the database cluster" in done.stderr
