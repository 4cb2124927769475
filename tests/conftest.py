"""Fixtures that every kind of test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.servers import Server, mlflow_server

# A busy machine makes single examples slow; the time limit of the whole test stands.
settings.register_profile("rookery", deadline=None)
settings.load_profile("rookery")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, else one worker ends with them while the others have nothing left to do."""
    long = [Path(__file__).parent / folder for folder in ("tf", "e2e", "local")]
    items.sort(
        key=lambda item: next((at for at, one in enumerate(long) if one in item.path.parents), len(long))
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Files are named by their length: some formats write the time, and then no two workers collect the same tests."""
    return f"{argname}-of-{len(val)}-bytes" if isinstance(val, bytes) and len(val) > 32 else None


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real MLflow for the whole session; tests keep apart by experiment names."""
    server = mlflow_server(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.stop()
