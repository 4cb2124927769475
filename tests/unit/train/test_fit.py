from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from services.common.errors import DatasetError, InvalidInput
from services.train.families import FAMILIES
from services.train.fit import Fitted, Machine, Material, fit
from services.train.hyperparameters import Hyperparameters
from services.train.loading import Windows
from services.train.networks import build

CPU = Machine(torch.device("cpu"), "fp32")


def _material(multi_label: bool = False, sound: bool = False, windows: int = 60) -> Material:
    """Three classes: the bright third of the picture; for multi-label a second one now and then."""
    random = np.random.default_rng(0)
    kinds = np.arange(windows) % 3
    pictures = random.normal(0, 0.3, (windows, 1, 9, 9)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[kinds]
    if multi_label:
        targets[::5, 0] = 1
    for row, wanted in enumerate(targets):
        for kind in np.flatnonzero(wanted):
            pictures[row, :, 3 * kind : 3 * kind + 3] += 2
    data = Windows(pictures, [0.5], [1.0], CPU.device)
    index = np.arange(windows)
    return Material(
        data, index, index, targets, data, index, targets, np.ones(3, np.float32), multi_label, sound
    )


def _fit(tmp_path: Path, material: Material, hyper: Hyperparameters, tell=lambda row: None) -> Fitted:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    network = build(FAMILIES["cnn"], channels=1, classes=3, size=(9, 9), hyper=hyper)
    return fit(network, material, hyper, CPU, saved=tmp_path / "c.pt", fingerprint="f", tell=tell)


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("multi_label", [False, True])
def test_it_learns(tmp_path: Path, multi_label: bool, sound: bool) -> None:
    hyper = Hyperparameters(epochs=15, batch_size=16, width=8, patience=0, mixup=0.2 if sound else 0.0)
    fitted = _fit(tmp_path, _material(multi_label, sound), hyper)
    best = fitted.history[fitted.best_epoch - 1]
    assert best["map" if multi_label else "macro_f1"] > 0.9
    assert [row["epoch"] for row in fitted.history] == list(range(1, 16))


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    hyper = Hyperparameters(epochs=5, batch_size=16, width=4, patience=0)
    whole = _fit(tmp_path, _material(), hyper)

    class Killed(Exception):
        pass

    def die(row: dict[str, float]) -> None:
        if row["epoch"] in (2, 4):
            raise Killed

    other = tmp_path / "other"
    other.mkdir()
    for _ in range(2):
        with pytest.raises(Killed):
            _fit(other, _material(), hyper, die)
    again = _fit(other, _material(), hyper)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
    assert again.best_epoch == whole.best_epoch


def test_patience_ends_a_training_that_gets_no_better(tmp_path: Path) -> None:
    hyper = Hyperparameters(epochs=100, batch_size=16, width=4, patience=2, lr=1e-7)
    fitted = _fit(tmp_path, _material(), hyper)
    assert len(fitted.history) - fitted.best_epoch == 2
    assert len(fitted.history) < 100


def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    material = _material()
    material.targets[:] = np.nan
    with pytest.raises(InvalidInput, match=r"diverged in epoch 1.*a lower lr"):
        _fit(tmp_path, material, Hyperparameters(epochs=2))


def test_a_validation_loss_that_is_no_number_is_said_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = np.full((len(_material().validation), 3), np.inf, np.float32)
    monkeypatch.setattr("services.train.fit.infer", lambda *_: logits)
    monkeypatch.setattr("services.train.scoring.score", lambda *_, **__: {"macro_f1": 1.0})
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(InvalidInput, match=r"diverged in epoch 1: its validation_loss"),
    ):
        _fit(tmp_path, _material(), Hyperparameters(epochs=2))


def test_one_window_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="two windows"):
        _fit(tmp_path, _material(windows=1), Hyperparameters())


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        assert Machine.choose(Hyperparameters()).device.type == "cuda"
        return
    assert Machine.choose(Hyperparameters()) == CPU
    with pytest.raises(InvalidInput, match="no GPU"):
        Machine.choose(Hyperparameters(device="cuda"))
    with pytest.raises(InvalidInput, match="fp16 needs a GPU"):
        Machine.choose(Hyperparameters(precision="fp16"))


def test_bf16_trains_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    hyper = Hyperparameters(epochs=2, batch_size=16, width=4)
    network = build(FAMILIES["cnn"], channels=1, classes=3, size=(9, 9), hyper=hyper)
    machine = Machine(torch.device("cpu"), "bf16")
    fitted = fit(
        network, _material(), hyper, machine, saved=tmp_path / "c", fingerprint="f", tell=lambda _: None
    )
    assert all(weight.dtype == torch.float32 for weight in fitted.network.parameters())
