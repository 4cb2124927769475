"""Terraform with providers from a folder and no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "tests" / "tools"


@dataclass(frozen=True)
class Tool:
    """Terraform's path and its configuration."""

    binary: str
    config: str

    def environment(self) -> dict[str, str]:
        """Without anybody's credentials, variables or plug-in cache."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "OS_"))}
        return others | {
            "TF_CLI_CONFIG_FILE": self.config,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in a folder; its output is kept."""
        return subprocess.run(
            [self.binary, *arguments],
            cwd=folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def init(self, folder: Path) -> None:
        """Installs the providers."""
        done = self.run(folder, "init", "-input=false", "-no-color", "-backend=false")
        assert done.returncode == 0, done.stdout + done.stderr

    def events(self, folder: Path, *arguments: str) -> list[dict[str, Any]]:
        """What a command with `-json` says."""
        done = self.run(folder, *arguments, "-json")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="session")
def terraform() -> Tool:
    """Terraform and its providers; what is missing is built from pinned Go modules."""

    def path_of(script: str) -> str:
        done = subprocess.run(
            [TOOLS / script],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return Tool(path_of("terraform.sh"), path_of("terraform-providers.sh"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of tf/, since Terraform writes beside its modules."""
    return copy_tree(tmp_path)


@pytest.fixture(scope="module")
def module_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy for a whole module of tests."""
    yield copy_tree(tmp_path_factory.mktemp("tf"))


def copy_tree(folder: Path) -> Path:
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars*")
    shutil.copytree(REPOSITORY / "tf", folder / "tf", ignore=ignored)
    return folder / "tf"
