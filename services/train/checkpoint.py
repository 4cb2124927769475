"""Checkpoints on disk: written whole or not at all, read with weights only."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from services.common.files import replacing


@dataclass
class State:
    """Where a training stands after `epoch` epochs."""

    fingerprint: str
    epoch: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: list[float] | None = None
    history: list[dict[str, float]] = field(default_factory=list)


def save(path: Path, state: State) -> None:
    """Replace the checkpoint at `path` atomically.

    Raises:
        OSError: the disk is full or not writable; the former checkpoint is still there.
    """
    fields = {name: getattr(state, name) for name in asdict(State(""))}
    with replacing(path) as file:
        torch.save(fields, file)


def load(path: Path, fingerprint: str, device: torch.device) -> State | None:
    """The checkpoint at `path`, or nothing if there is none, it is damaged, or it is of another training."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        fields = torch.load(path, map_location=device, weights_only=True)
        state = State(**fields)
    except (OSError, RuntimeError, EOFError, TypeError, ValueError, pickle.UnpicklingError):
        return None
    return state if state.fingerprint == fingerprint else None
