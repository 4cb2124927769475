"""A password that would need quoting is refused before anything of PostgreSQL is made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.manifests import ROOT

SCRIPT = ROOT / "k8s/platform/postgres/prepare.sh"


def prepare(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("password", "said"),
    [("", "is empty"), ("it's", "allowed are letters"), ("a b", "allowed are letters"), ("a\\", "allowed")],
)
def test_a_password_that_would_need_quoting_is_refused(password: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "passwords").mkdir()
    (tmp_path / "passwords/arbiter").write_text("fine")
    (tmp_path / "passwords/mlflow").write_text(password)
    done = prepare(DATA=str(tmp_path / "cluster"), PASSWORDS=str(tmp_path / "passwords"))
    assert done.returncode != 0
    assert said in done.stderr
    assert not password or password not in done.stderr
    assert not (tmp_path / "cluster").exists()


@pytest.mark.parametrize("role", ["postgres", "x; DROP ROLE y", "Mlflow", "9", "a-b"])
def test_a_name_that_would_need_quoting_is_refused(role: str, tmp_path: Path) -> None:
    (tmp_path / "passwords").mkdir()
    (tmp_path / "passwords" / role).write_text("fine")
    done = prepare(DATA=str(tmp_path / "cluster"), PASSWORDS=str(tmp_path / "passwords"))
    assert done.returncode != 0
    assert "a role's name" in done.stderr
    assert not (tmp_path / "cluster").exists()


def test_the_folders_must_be_named_and_hold_something(tmp_path: Path) -> None:
    assert "folder of the database cluster" in prepare().stderr
    (tmp_path / "passwords").mkdir()
    done = prepare(DATA=str(tmp_path / "cluster"), PASSWORDS=str(tmp_path / "passwords"))
    assert done.returncode != 0
    assert "holds no passwords" in done.stderr
