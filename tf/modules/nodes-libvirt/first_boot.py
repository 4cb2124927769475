#!/usr/bin/env python3
"""Writes what a machine is told at its first boot: an ISO 9660 image that cloud-init finds by its label `cidata`.

Usage: FIRST_BOOT='{"user-data": "…", "meta-data": "…"}' first_boot.py FILE. The same texts give the same bytes.
Formats: ECMA-119, sections 8 and 9; https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

import json
import os
import sys
from pathlib import Path
from typing import Literal

SECTOR = 2048
_DESCRIPTOR, _LITTLE_PATHS, _BIG_PATHS, _ROOT, _FIRST_FILE = 16, 18, 19, 20, 21
_DATE = bytes([70, 1, 1, 0, 0, 0, 0])
_LONG_DATE = b"0" * 16 + b"\0"
_DIRECTORY = 2


def image(files: dict[str, str]) -> bytes:
    """The image with the files in its one folder."""
    contents = [(f"{name.upper()};1".encode("ascii"), text.encode()) for name, text in sorted(files.items())]
    records, data, sector = b"", b"", _FIRST_FILE
    for name, content in contents:
        records += _record(name, sector, len(content))
        data += _padded(content)
        sector += len(_padded(content)) // SECTOR
    own = _record(b"\0", _ROOT, SECTOR, _DIRECTORY), _record(b"\1", _ROOT, SECTOR, _DIRECTORY)
    folder = _padded(own[0] + own[1] + records)
    if len(folder) != SECTOR:
        raise ValueError("the names do not fit into one sector")
    paths = _padded(_path_table("little")), _padded(_path_table("big"))
    system = bytes(_DESCRIPTOR * SECTOR)
    end = _padded(b"\xffCD001\1")
    return system + _descriptor(own[0], sector) + end + paths[0] + paths[1] + folder + data


def _descriptor(root: bytes, sectors: int) -> bytes:
    empty = b" " * 128
    made = b"\1CD001\1\0" + b" " * 32 + b"cidata".ljust(32) + bytes(8) + _both(sectors, 4) + bytes(32)
    made += _both(1, 2) + _both(1, 2) + _both(SECTOR, 2) + _both(len(_path_table("little")), 4)
    made += _LITTLE_PATHS.to_bytes(4, "little") + bytes(4) + _BIG_PATHS.to_bytes(4, "big") + bytes(4) + root
    made += empty * 4 + b" " * 37 * 3 + _LONG_DATE * 4 + b"\1"
    return _padded(made)


def _record(name: bytes, sector: int, size: int, flags: int = 0) -> bytes:
    fields = bytes([0]) + _both(sector, 4) + _both(size, 4) + _DATE + bytes([flags, 0, 0]) + _both(1, 2)
    record = fields + bytes([len(name)]) + name
    record += bytes(1 - len(record) % 2)
    return bytes([len(record) + 1]) + record


def _path_table(order: Literal["little", "big"]) -> bytes:
    return bytes([1, 0]) + _ROOT.to_bytes(4, order) + (1).to_bytes(2, order) + b"\0\0"


def _both(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % SECTOR)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(image(json.loads(os.environ["FIRST_BOOT"])))
