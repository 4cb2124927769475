"""A world for the board: one release, nothing at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.board import World, board


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.release(1)
    return made


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with board(world) as found:
        yield found
