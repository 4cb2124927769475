"""Where the playbooks are, and how their programs are loaded without being installed on a node."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"
PLAYBOOKS = sorted((ANSIBLE / "playbooks").glob("*.yml"))
ROLES = sorted(p for p in (ANSIBLE / "roles").iterdir() if p.is_dir())
INVENTORIES = ("example", "e2e")


def run(*words: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment in the folder of the playbooks."""
    binaries = ROOT / ".venv" / "bin"
    return subprocess.run(
        [str(binaries / words[0]), *words[1:]],
        cwd=ANSIBLE,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "NO_COLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
        },
    )


def program(role: str, name: str) -> ModuleType:
    """A program that a role copies to a node, as a module."""
    path = ANSIBLE / "roles" / role / "files" / name
    spec = importlib.util.spec_from_file_location(f"ansible_{role}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tasks_of(path: Path) -> list[dict[str, Any]]:
    """Every task of a file, those within blocks too, and the blocks themselves."""
    found: list[dict[str, Any]] = []

    def walk(tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            found.append(task)
            for part in ("block", "rescue", "always"):
                walk(task.get(part, []))

    walk(load(path) or [])
    return found
