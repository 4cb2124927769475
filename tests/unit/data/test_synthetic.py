from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.data.dataset import Dataset
from services.data.options import Options
from services.data.synthetic import BirdOptions, load_synthetic_birds
from services.data.trainable import check_trainable


def load(query: str, cache: Path) -> Dataset:
    return load_synthetic_birds("synthetic-birds?" + query, Options(query), cache)


def test_the_same_options_give_the_same_data_in_any_cache(tmp_path: Path) -> None:
    query = "species=3&recordings=12&seconds=0.5"
    first, second = (load(query, tmp_path / name) for name in "ab")
    assert first.digest == second.digest
    assert first.task == "single-label"
    assert first.kind == "audio"


def test_another_seed_gives_other_recordings_of_the_same_species(tmp_path: Path) -> None:
    first, second = (load(f"species=3&recordings=12&seconds=0.5&seed={seed}", tmp_path) for seed in (1, 2))
    assert first.labels == second.labels
    assert not {item.sha256 for item in first.items} & {item.sha256 for item in second.items}


def test_more_recordings_leave_the_first_ones_as_they_are(tmp_path: Path) -> None:
    few, many = (load(f"species=3&recordings={count}&seconds=0.5", tmp_path) for count in (12, 24))
    hashes = {item.id: item.sha256 for item in many.items}
    assert all(hashes[item.id] == item.sha256 for item in few.items)


def test_overlap_makes_some_recordings_of_two_species(tmp_path: Path) -> None:
    dataset = load("species=4&recordings=40&seconds=0.5&overlap=0.5", tmp_path)
    both = [item for item in dataset.items if item.secondary]
    assert dataset.task == "multi-label"
    assert 8 < len(both) < 32
    assert all(len(set(item.labels)) == 2 for item in both)
    check_trainable(dataset)


def test_generated_files_are_kept_and_read_back(tmp_path: Path) -> None:
    first = load("species=2&recordings=8&seconds=0.5&format=ogg", tmp_path)
    changed = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.ogg")}
    second = load("species=2&recordings=8&seconds=0.5&format=ogg", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.ogg")} == changed
    assert [item.read()[:4] for item in second.items] == [b"OggS"] * 8
    assert first.digest == second.digest


@pytest.mark.parametrize("damage", ["cut", "gone", "index"])
def test_a_damaged_cache_is_made_good(tmp_path: Path, damage: str) -> None:
    query = "species=2&recordings=8&seconds=0.5"
    first = load(query, tmp_path)
    path = next(tmp_path.rglob("index.json" if damage == "index" else "*.wav"))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50])
    second = load(query, tmp_path)
    assert second.digest == first.digest
    assert all(item.read() for item in second.items)


def test_several_processes_at_once_make_one_dataset(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from services.data.source import load_dataset\n"
        "made = load_dataset('synthetic-birds?recordings=20&seconds=0.5', cache=Path(sys.argv[1]))\n"
        "print(made.digest, sum(len(item.read()) for item in made.items))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert not list(tmp_path.rglob("*.making"))


@pytest.mark.parametrize(
    "query",
    [
        "species=1",
        "species=25",
        "recordings=0",
        "seconds=1e9",
        "recordings=20000&seconds=6",
        "overlap=2",
        "format=mp3",
        "bird=1",
    ],
)
def test_options_out_of_bounds(query: str) -> None:
    with pytest.raises(InvalidInput):
        BirdOptions.parse(Options(query))
