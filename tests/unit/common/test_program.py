"""Options win over settings, what is wrong is one line, and each service can be started so."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

from services.common.errors import InvalidInput
from services.common.listening import ListeningSettings
from services.common.program import options, run

SERVICES = ("arbiter", "board", "evaluate", "labels", "monitor", "notify", "observe", "train")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    calls: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **more: calls.append((app, more)))
    return calls


def test_what_is_given_is_prepared_and_served(served: list[tuple[Any, dict[str, Any]]]) -> None:
    found: dict[str, Any] = {}

    async def app(*_: Any) -> None:
        """Answers nothing."""

    class Settings(ListeningSettings):
        model_config = SettingsConfigDict(env_prefix="ROOKERY_TESTPROGRAM_")

    def prepare(given: dict[str, Any]) -> Any:
        found.update(given)
        return app, Settings(**given)

    parser = options("test", "Tests.")
    parser.add_argument("--more")
    assert run("test", parser, ["--port", "0"], prepare, grace_seconds=2) == 0
    assert found == {"port": 0}
    ((given, more),) = served
    assert given is app
    assert (more["host"], more["port"], more["timeout_graceful_shutdown"]) == ("127.0.0.1", 0, 2)


@pytest.mark.parametrize("error", [InvalidInput("this will not do"), PermissionError(13, "no right", "/x")])
def test_what_is_wrong_is_one_line(
    served: list[Any], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def prepare(_: dict[str, Any]) -> None:
        raise error

    assert run("test", options("test", "Tests."), [], prepare) == 1
    said = capsys.readouterr().err
    assert said.startswith("rookery test: ") and said.count("\n") == 1 and not served


def test_there_may_be_nothing_to_serve(served: list[Any]) -> None:
    assert run("test", options("test", "Tests."), [], lambda _: None) == 0
    assert not served


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_says_what_is_wrong_with_its_settings(
    served: list[Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"ROOKERY_{name.upper()}_HOTS", "x")
    main = importlib.import_module(f"services.{name}.__main__").main
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"rookery {name}: ") and f"ROOKERY_{name.upper()}_HOST" in said and not served


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_takes_its_address_from_the_command_line(
    served: list[tuple[Any, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    main = importlib.import_module(f"services.{name}.__main__").main
    assert main(["--host", "localhost", "--port", "7"]) == 0
    assert [(more["host"], more["port"]) for _, more in served] == [("localhost", 7)]
