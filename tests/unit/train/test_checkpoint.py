from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from services.train.checkpoint import State, load, save

CPU = torch.device("cpu")


def _state() -> State:
    return State(
        "f", epoch=3, network={"w": torch.arange(4.0)}, best_score=[0.5, -1.0], history=[{"epoch": 1}]
    )


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "c.pt", _state())
    found = load(tmp_path / "c.pt", "f", CPU)
    assert found is not None
    assert torch.equal(found.network["w"], torch.arange(4.0))
    assert (found.epoch, found.best_score, found.history) == (3, [0.5, -1.0], [{"epoch": 1}])
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("kept", [0, 1, 100, 700])
def test_a_cut_checkpoint_counts_as_none(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "c.pt"
    save(path, _state())
    path.write_bytes(path.read_bytes()[:kept])
    assert load(path, "f", CPU) is None


def test_a_checkpoint_of_another_training_counts_as_none(tmp_path: Path) -> None:
    save(tmp_path / "c.pt", _state())
    assert load(tmp_path / "c.pt", "g", CPU) is None
    assert load(tmp_path / "none.pt", "f", CPU) is None


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (marker,)

    for path, write in ((tmp_path / "a.pt", pickle.dumps), (tmp_path / "b.pt", None)):
        if write is None:
            torch.save({"fingerprint": Evil()}, path)
        else:
            path.write_bytes(write(Evil()))
        assert load(path, "f", CPU) is None
    assert not marker.exists()
