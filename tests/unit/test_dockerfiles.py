"""The images have every module that their process imports, no tool to build with, and a user with a number."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.gitops import REPOSITORY

IMAGES = {
    "services/serve": 65532,
    "services/evaluate": 65532,
    "services/train": 10001,
    "services/tracking": 10003,
    "services/git": 10002,
    "services/arbiter": 65532,
    "services/board": 65532,
    "services/labels": 65532,
    "services/monitor": 65532,
    "services/notify": 65532,
    "services/observe": 65532,
    "services/studio": 10006,
    "workflows": 10001,
}
_IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, {package!r} + "."):
    if "__main__" not in module.name and not module.name.startswith("services.git.hooks"):
        importlib.import_module(module.name)
print(*sorted(n for n in sys.modules if n.startswith(("services.", "workflows."))))
"""


def text_of(folder: str) -> str:
    return (REPOSITORY / folder / "Dockerfile").read_text().replace("\\\n", " ")


def copied(folder: str) -> set[str]:
    """The packages of ours that go into an image, with dots."""
    found = re.findall(r"^COPY (?!--from)(services/\w+|workflows) /app/\1$", text_of(folder), re.MULTILINE)
    return {path.replace("/", ".") for path in found}


@pytest.mark.parametrize("folder", IMAGES)
def test_every_module_that_is_imported_is_in_the_image(folder: str) -> None:
    package = "workflows.steps" if folder == "workflows" else folder.replace("/", ".")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT_ALL.format(package=package)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {name for name in done.stdout.split() if name not in ("services", "workflows")}
    there = copied(folder)
    missing = [name for name in names if not any(name == own or name.startswith(own + ".") for own in there)]
    assert missing == []
    left_out = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if "/" in line[1:]]
    removed = re.findall(
        r"/app/(services/\w+|workflows/\w+)(?=\s)", " ".join(re.findall(r"rm -\w+ [^&]*", text_of(folder)))
    )
    assert not any(
        name.replace(".", "/").startswith(path) for name in names for path in [*left_out, *removed]
    )


@pytest.mark.parametrize(("folder", "user"), IMAGES.items())
def test_the_image_ends_as_a_user_with_a_number(folder: str, user: int) -> None:
    last = text_of(folder).rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == [f"{user}:{user}"]
    assert "build-essential" not in last and "pip install" not in last


@pytest.mark.parametrize("folder", IMAGES)
def test_the_classic_builder_understands_it_and_the_bases_are_two(folder: str) -> None:
    text = text_of(folder)
    assert not re.search(r"--mount|--chmod|--link|<<|^ADD ", text, re.MULTILINE)
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert bases <= {"python:3.11-slim-bookworm", "debian:bookworm-slim"}


def test_the_hooks_can_be_run() -> None:
    for name in ("pre-receive", "post-receive"):
        mode = subprocess.run(
            ["git", "ls-files", "--stage", f"services/git/hooks/{name}"],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert mode.startswith("100755")
