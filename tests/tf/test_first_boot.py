"""The image of the first boot, read as ECMA-119 says; tests/e2e/kvm shows that Debian and cloud-init read it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.tf.conftest import REPOSITORY

SCRIPT = REPOSITORY / "tf" / "modules" / "nodes-libvirt" / "first_boot.py"
SECTOR = 2048
FILES = {"user-data": "#cloud-config\nusers: []\n", "meta-data": "local-hostname: ñode1\n"}


@pytest.fixture(scope="module")
def first_boot() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_boot", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both(field: bytes) -> int:
    """A number that is there in both orders of its bytes."""
    half = len(field) // 2
    little, big = int.from_bytes(field[:half], "little"), int.from_bytes(field[half:], "big")
    assert little == big
    return little


def read(image: bytes) -> dict[str, bytes]:
    """Files of the root folder, by names as Linux shows them."""
    volume = image[16 * SECTOR : 17 * SECTOR]
    assert volume[:7] == b"\1CD001\1" and image[17 * SECTOR :][:7] == b"\xffCD001\1"
    assert volume[40:72].rstrip() == b"cidata"
    assert both(volume[80:88]) * SECTOR == len(image)
    assert both(volume[128:132]) == SECTOR and both(volume[132:140]) == 10
    assert int.from_bytes(image[18 * SECTOR + 2 :][:4], "little") == both(volume[158:166])
    assert int.from_bytes(image[19 * SECTOR + 2 :][:4], "big") == both(volume[158:166])
    folder = image[both(volume[158:166]) * SECTOR :][: both(volume[166:174])]
    found, place = {}, 0
    while folder[place]:
        record = folder[place : place + folder[place]]
        assert len(record) % 2 == 0
        name = record[33 : 33 + record[32]]
        if name not in (b"\0", b"\1"):
            begin = both(record[2:10]) * SECTOR
            shown = name.decode().lower().removesuffix(";1")
            found[shown] = image[begin : begin + both(record[10:18])]
        place += len(record)
    return found


def test_the_files_are_in_it(first_boot: ModuleType) -> None:
    assert read(first_boot.image(FILES)) == {name: text.encode() for name, text in FILES.items()}


@pytest.mark.parametrize("size", [0, 1, SECTOR - 1, SECTOR, SECTOR + 1, 100_000])
def test_a_file_of_any_size_is_whole(first_boot: ModuleType, size: int) -> None:
    assert read(first_boot.image({"user-data": "x" * size, "meta-data": "m"}))["user-data"] == b"x" * size


def test_the_same_texts_give_the_same_bytes(first_boot: ModuleType) -> None:
    turned = dict(reversed(FILES.items()))
    assert first_boot.image(FILES) == first_boot.image(turned)


def test_too_many_names_are_refused(first_boot: ModuleType) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        first_boot.image({f"file-{number}": "" for number in range(60)})


def test_it_is_run_as_terraform_runs_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "node1.iso"
    environment = os.environ | {"FIRST_BOOT": json.dumps(FILES)}
    subprocess.run([sys.executable, SCRIPT, target], env=environment, check=True, timeout=60)
    assert read(target.read_bytes())["user-data"] == FILES["user-data"].encode()
