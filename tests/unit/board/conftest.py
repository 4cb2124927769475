"""One board for the session; each test finds its world as it was: one release, nothing at work, nothing done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.board import World, board


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    made = World(tmp_path_factory.mktemp("board"))
    made.release(1)
    with board(made) as found:
        yield made, str(found.base_url)


@pytest.fixture
def world(shared: tuple[World, str]) -> World:
    found = shared[0]
    actions = found.home / "board" / "actions.jsonl"
    shutil.rmtree(actions, ignore_errors=True)
    actions.unlink(missing_ok=True)
    shutil.rmtree(found.home / "runs", ignore_errors=True)
    found.reset()
    return found


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    """A world whose git the test may change."""
    made = World(tmp_path)
    made.release(1)
    return made


@pytest.fixture
def client(shared: tuple[World, str], world: World) -> Iterator[httpx.Client]:
    """Somebody who is not logged in."""
    with httpx.Client(base_url=shared[1], timeout=30, trust_env=False) as found:
        yield found
