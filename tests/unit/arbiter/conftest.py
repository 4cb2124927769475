"""An arbiter and its world; databases: SQLite in a file, and a real PostgreSQL that all tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql

from services.arbiter.arbiter import Arbiter
from services.arbiter.store import EVENTS, Store
from tests.support.arbiter import Engine, Machine, World, make
from tests.support.database import Database


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    # It runs as another user, who cannot enter the folders that pytest makes.
    with tempfile.TemporaryDirectory(prefix="rookery-arbiter-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Database(folder / "database", "a-word-nobody-shall-read", "arbiter")
        made.start()
        yield made.uri.replace("postgresql://", "postgresql+psycopg://")
        made.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'arbiter.db'}"
    url = str(request.getfixturevalue("postgresql"))
    engine = sql.create_engine(url)
    EVENTS.metadata.drop_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def open_store(database: str) -> Iterator[Callable[[], Store]]:
    """Opens the database, as often as somebody begins anew."""
    made: list[Store] = []

    def again() -> Store:
        made.append(Store(database))
        return made[-1]

    yield again
    for one in made:
        one.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """A store on an empty database."""
    return open_store()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def arbiter(tmp_path: Path, world: World, engine: Engine, machine: Machine) -> Arbiter:
    return make(tmp_path, world, engine, machine)
