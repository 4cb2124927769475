"""The images are installed from locks, and all locks agree with each other."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ["serve", "evaluate", "train", "monitor", "notify", "arbiter", "board", "labels"]
OTHERS = ["tracking", "workflows"]
_PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)


def text_of(lock: str) -> str:
    return (REPOSITORY / "requirements" / f"{lock}.lock").read_text()


def pins(lock: str) -> dict[str, str]:
    return dict(_PIN.findall(text_of(lock)))


@pytest.mark.parametrize("lock", [*LOCKS, *OTHERS, "dev"])
def test_every_package_has_its_hashes(lock: str) -> None:
    packages = re.split(r"\n(?=\S)", text_of(lock).strip())
    assert len(packages) == len(pins(lock)) > 20
    assert [package for package in packages if "--hash=sha256:" not in package] == []


@pytest.mark.parametrize("lock", [*LOCKS, *OTHERS])
def test_images_have_the_versions_that_were_tested(lock: str) -> None:
    tested, own = pins("dev"), pins(lock)
    assert {name: version for name, version in own.items() if tested.get(name, version) != version} == {}
    if lock != "train":
        assert set(own) <= set(tested)


def test_each_image_has_what_the_former_has_and_no_more_than_it_needs() -> None:
    assert set(pins("serve")) < set(pins("evaluate")) < set(pins("train"))
    assert {"scikit-learn", "minio"} <= set(pins("evaluate"))
    for lock in LOCKS:
        assert {"mlflow", "torch", "torchvision", "hera"}.isdisjoint(pins(lock))


def test_all_that_torch_needs_besides_its_libraries_is_locked() -> None:
    accelerator = re.compile(r"^(nvidia|cuda|triton)")
    needed = {re.split(r"[^A-Za-z0-9_.-]", text)[0].lower() for text in requires("torch") or []}
    optional = {
        re.split(r"[^A-Za-z0-9_.-]", text)[0].lower()
        for text in requires("torch") or []
        if "extra ==" in text
    }
    needed = {name for name in needed - optional if not accelerator.match(name)}
    assert needed
    assert needed <= set(pins("train"))


@pytest.mark.parametrize("service", [*LOCKS, *OTHERS])
def test_a_dockerfile_installs_from_its_lock_alone(service: str) -> None:
    folder = REPOSITORY / service if service == "workflows" else REPOSITORY / "services" / service
    text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    commands = [part for line in text.splitlines() for part in line.split("&&") if "pip install" in part]
    locked = [part for part in commands if "--require-hashes" in part and f"{service}.lock" in part]
    others = [part for part in commands if part not in locked]
    assert len(locked) == 1
    assert all("-r /tmp/torch.txt" in part or re.search(r" uv==[\d.]+", part) for part in others), others


def test_label_studio_is_installed_from_its_lock_alone() -> None:
    text = (REPOSITORY / "services/studio/Dockerfile").read_text()
    assert re.findall(r"pip install (.*) \\", text) == [
        "--no-cache-dir --require-hashes -r /tmp/label-studio.lock"
    ]
    packages = re.split(r"\n(?=\S)", text_of("label-studio").strip())
    assert len(packages) == len(pins("label-studio")) > 50
    assert [package for package in packages if "--hash=sha256:" not in package] == []
    assert {"gunicorn", "label-studio", "psycopg-binary"} <= set(pins("label-studio"))


def test_training_needs_nothing_but_services_and_its_packages() -> None:
    code = (
        "import importlib, pkgutil, sys, services.train\n"
        "for module in pkgutil.walk_packages(services.train.__path__, 'services.train.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "print([name for name in ('workflows', 'mlflow', 'hera', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
