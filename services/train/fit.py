"""The training loop: a checkpoint after each epoch, and the same result when it goes on from one.

Order and augmentation of an epoch depend on the seed and the epoch alone, so an interrupted training repeats
nothing and ends with the weights that it would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from services.common.errors import DatasetError, InvalidInput
from services.train import augment, checkpoint, scoring
from services.train.hyperparameters import Hyperparameters
from services.train.loading import Windows

_WARM_UP = 0.1
_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Material:
    """What is trained on. Targets are float32 [items, classes]; `item_of` maps windows to items."""

    training: Windows
    chosen: NDArray[np.int64]
    item_of: NDArray[np.int64]
    targets: NDArray[np.float32]
    validation: Windows
    validation_item_of: NDArray[np.int64]
    validation_targets: NDArray[np.float32]
    class_weights: NDArray[np.float32]
    multi_label: bool
    sound: bool


@dataclass(frozen=True)
class Fitted:
    """The best epoch's network, and what every epoch scored: `epoch`, `time` (Unix milliseconds) and metrics."""

    network: nn.Module
    history: list[dict[str, float]]
    best_epoch: int


@dataclass(frozen=True)
class Machine:
    """Where and how precisely it is computed."""

    device: torch.device
    precision: str

    @classmethod
    def choose(cls, hyper: Hyperparameters) -> Machine:
        """The device and precision of the hyperparameters on this machine.

        Raises:
            InvalidInput: a GPU was asked for and there is none.
        """
        there = torch.cuda.is_available()
        if hyper.device == "cuda" and not there:
            raise InvalidInput("there is no GPU on this machine", value="cuda", allowed="device auto or cpu")
        device = torch.device("cuda" if there and hyper.device != "cpu" else "cpu")
        precision = hyper.precision
        if precision == "auto":
            precision = "fp32"
            if device.type == "cuda":
                precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        if precision == "fp16" and device.type == "cpu":
            raise InvalidInput("fp16 needs a GPU", value="fp16", allowed="precision auto, fp32 or bf16")
        return cls(device, precision)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for forward passes."""
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=kind, enabled=self.precision != "fp32")


def fit(
    network: nn.Module,
    material: Material,
    hyper: Hyperparameters,
    machine: Machine,
    *,
    saved: Path,
    fingerprint: str,
    tell: Callable[[dict[str, float]], None],
) -> Fitted:
    """Train until the epochs or the patience are used up; from the checkpoint at `saved` if it is of this training.

    Args:
        fingerprint: of data and hyperparameters; a checkpoint with another one is not used.
        tell: called with the row of the history after each epoch, after its checkpoint is on disk.

    Raises:
        DatasetError: there are fewer than two windows to train on.
        InvalidInput: the loss is no longer a number.
    """
    if len(material.chosen) < 2:
        raise DatasetError("a training needs two windows or more", value=len(material.chosen))
    network.to(machine.device)
    optimizer = _optimizer(network, hyper)
    scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")
    state = checkpoint.load(saved, fingerprint, machine.device) or checkpoint.State(fingerprint)
    if state.epoch:
        network.load_state_dict(state.network)
        optimizer.load_state_dict(state.optimizer)
        scaler.load_state_dict(state.scaler)
    while not _finished(state, hyper):
        loss = _epoch(network, optimizer, scaler, material, hyper, machine, state.epoch)
        row = {"train_loss": loss}
        _check_finite(row, state.epoch + 1, hyper)
        row |= validate(network, material, machine)
        _check_finite(row, state.epoch + 1, hyper)
        state.epoch += 1
        score = [row["map" if material.multi_label else "macro_f1"], -row["validation_loss"]]
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            state.best = {name: value.detach().clone() for name, value in network.state_dict().items()}
        state.history.append({"epoch": state.epoch, "time": int(time.time() * 1000), **row})
        state.network, state.optimizer, state.scaler = (
            network.state_dict(),
            optimizer.state_dict(),
            scaler.state_dict(),
        )
        checkpoint.save(saved, state)
        tell(state.history[-1])
    network.load_state_dict(state.best)
    return Fitted(network.eval(), state.history, state.best_epoch)


def infer(network: nn.Module, windows: Windows, machine: Machine) -> NDArray[np.float32]:
    """Logits of all windows, float32 [n, classes]."""
    network.eval()
    parts = []
    with torch.inference_mode(), machine.autocast():
        for _, x in windows.batches(np.arange(len(windows)), _EVALUATION_BATCH):
            parts.append(network(x).float().cpu().numpy())
    return np.concatenate(parts)


def validate(network: nn.Module, material: Material, machine: Machine) -> dict[str, float]:
    """Loss over windows, and the scores of items."""
    logits = infer(network, material.validation, machine)
    targets = material.validation_targets[material.validation_item_of]
    loss = _loss(torch.from_numpy(logits), torch.from_numpy(targets), None, material.multi_label, 0.0)
    found = scoring.by_item(
        scoring.probabilities(logits, multi_label=material.multi_label),
        material.validation_item_of,
        len(material.validation_targets),
    )
    scores = scoring.score(found, material.validation_targets, multi_label=material.multi_label)
    return {"validation_loss": float(loss), **scores}


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    material: Material,
    hyper: Hyperparameters,
    machine: Machine,
    epoch: int,
) -> float:
    network.train()
    torch.manual_seed(hyper.seed * 1_000_003 + epoch)
    random = torch.Generator().manual_seed(hyper.seed * 1_000_003 + epoch)
    numbers = np.random.default_rng([hyper.seed, epoch])
    weights = torch.from_numpy(material.class_weights).to(machine.device)
    order = numbers.permutation(material.chosen)
    steps = math.ceil(len(order) / hyper.batch_size)
    total, seen = torch.zeros((), device=machine.device), 0
    for step, (part, windows) in enumerate(material.training.batches(order, hyper.batch_size)):
        if len(part) < 2:
            continue
        for group in optimizer.param_groups:
            group["lr"] = hyper.lr * _schedule((epoch + (step + 1) / steps) / hyper.epochs)
        y = torch.from_numpy(material.targets[material.item_of[part]]).to(machine.device)
        x = augment.augment(windows, hyper, random, sound=material.sound)
        if hyper.mixup:
            share = float(numbers.beta(hyper.mixup, hyper.mixup))
            x, y = augment.mixup(x, y, max(share, 1 - share), random)
        with machine.autocast():
            logits = network(x)
        loss = _loss(logits.float(), y, weights, material.multi_label, hyper.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        total, seen = total + loss.detach() * len(part), seen + len(part)
    return float(total) / seen


def _check_finite(row: dict[str, float], epoch: int, hyper: Hyperparameters) -> None:
    wrong = [name for name, value in row.items() if not math.isfinite(value)]
    if wrong:
        raise InvalidInput(
            f"the training diverged in epoch {epoch}: its {wrong[0]} is no number",
            value=f"lr={hyper.lr}",
            allowed="a lower lr",
        )


def _loss(logits: Tensor, y: Tensor, weights: Tensor | None, multi_label: bool, smoothing: float) -> Tensor:
    if multi_label:
        soft = y * (1 - smoothing) + 0.5 * smoothing
        return functional.binary_cross_entropy_with_logits(logits, soft, weight=weights)
    return functional.cross_entropy(logits, y, weight=weights, label_smoothing=smoothing)


def _optimizer(network: nn.Module, hyper: Hyperparameters) -> torch.optim.Optimizer:
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": hyper.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=hyper.lr)


def _schedule(share: float) -> float:
    if share < _WARM_UP:
        return share / _WARM_UP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def _finished(state: checkpoint.State, hyper: Hyperparameters) -> bool:
    waited = state.epoch - state.best_epoch
    return state.epoch >= hyper.epochs or (
        hyper.patience > 0 and state.epoch > 0 and waited >= hyper.patience
    )
