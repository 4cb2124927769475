"""`rookery simulate`, as far as it goes without playing; tests/e2e/test_simulate.py plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.unit.simulation.test_account import result
from workflows.simulation import play
from workflows.simulation.play import Played


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--months", "2"), "so many months is not possible (got 2)"),
        (("--months", "25"), "allowed: 3 to 24"),
        (("-a", "mushrooms"), "there is no simulated world for (got 'mushrooms'); allowed: digits, birds"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = cli("--home", tmp_path / "home", "simulate", *arguments)
    assert done.code == 1
    assert words in done.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("kept", "code"), [([99, 10, 90, 90], 0), ([99, 10, 60, 60], 3)])
def test_the_last_lines_are_the_result_and_the_exit_code_says_who_won(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[int], code: int
) -> None:
    def played(*_: Any, **__: Any) -> Played:
        return Played(result(kept, [99, 10, 60, 60]), tmp_path / "report.html", tmp_path)

    monkeypatch.setattr(play, "simulate", played)
    done = cli("--home", tmp_path, "simulate")
    assert done.code == code
    lines = done.out.strip().splitlines()
    assert [line.partition(":")[0] for line in lines[-2:]] == ["with the loop", "without the loop"]
    assert ("not better" in done.err) == (code == 3)
