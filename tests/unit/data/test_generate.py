from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.data.dataset import Dataset
from services.data.generate import main
from services.data.trainable import check_trainable


@pytest.mark.parametrize(
    ("what", "kind", "task"),
    [
        ("pictures", "image", "single-label"),
        ("birds", "audio", "single-label"),
        ("birdclef", "audio", "multi-label"),
    ],
)
@pytest.mark.parametrize("faults", [False, True])
def test_generated_folders_can_be_trained_on(
    what: str, kind: str, task: str, faults: bool, tmp_path: Path, load: Callable[..., Dataset]
) -> None:
    folder = tmp_path / what
    arguments = [what, str(folder), "--items", "36", "--classes", "3", "--seconds", "0.5", "--overlap", "0.3"]
    assert main([*arguments, "--faults"] if faults else arguments) == 0
    dataset = load(folder)
    check_trainable(dataset)
    assert (dataset.kind, dataset.task, len(dataset.labels)) == (kind, task, 3)
    assert bool(dataset.problems) == faults
    assert len(dataset.items) >= 34


def test_birdclef_has_secondary_labels_and_several_authors(
    tmp_path: Path, load: Callable[..., Dataset]
) -> None:
    folder = tmp_path / "calls"
    main(["birdclef", str(folder), "--items", "30", "--classes", "3", "--seconds", "0.5", "--overlap", "0.5"])
    dataset = load(folder)
    assert any(item.secondary for item in dataset.items)
    assert {item.media_type for item in dataset.items} == {"ogg"}
    assert 3 < len({item.group for item in dataset.items}) < 30


def test_the_same_seed_gives_the_same_folder(tmp_path: Path) -> None:
    for name in "ab":
        main(["birdclef", str(tmp_path / name), "--items", "6", "--classes", "2", "--seconds", "0.5"])
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "ab"
    )
    assert first == second


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    assert main(["birds", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("wrong", [["--classes", "99"], ["--items", "0"], ["--seed", "-1"]])
@pytest.mark.parametrize("what", ["pictures", "birds"])
def test_numbers_out_of_bounds(
    what: str, wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([what, str(tmp_path / "new"), *wrong]) == 2
    assert "allowed" in capsys.readouterr().err


def test_the_command(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "services.data.generate",
        "pictures",
        str(tmp_path / "p"),
        "--items",
        "12",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "12 items" in done.stdout
    assert done.stderr == ""
