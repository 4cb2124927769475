"""The figures of the how-to can be had again."""

from __future__ import annotations

import pytest

from services.labels.simulate import coverage, fates, main


@pytest.mark.parametrize(("share", "answered"), [(0.95, 1.0), (0.8, 0.6)])
def test_the_interval_covers_the_truth_as_often_as_it_says(share: float, answered: float) -> None:
    covered, bias, width = coverage(share, 10, 20, answered, runs=200, seed=4)
    assert covered >= 0.90
    assert abs(bias) < 0.01
    assert width < 0.25


def test_the_gate_keeps_the_good_and_finds_the_bad() -> None:
    kept, fooled = fates((0.05, 0.05, 1.0), inputs=30, classes=10, runs=40)
    assert kept > 0.95
    assert fooled == 0


def test_it_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "--runs", "3"]) == 0
    assert "| People" in capsys.readouterr().out
    assert main(["accuracy", "--runs", "2"]) == 0
    assert "| Accuracy" in capsys.readouterr().out
