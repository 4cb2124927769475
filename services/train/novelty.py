"""The novelty model: an autoencoder on a coarse view of the input. What it cannot rebuild is unlike its training data.

A picture is seen as at most 16 × 16 means. A sound is seen as mean and deviation over time in at most 32 bands,
because calls may lie anywhere in a window. Both views are part of the graph.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.train.loading import Windows

_CELLS = 16
_BANDS = 32
_HIDDEN = 64
_CODE = 12
_BATCH = 128
_LEARNING_RATE = 3e-3


class Autoencoder(nn.Module):
    """float32 [n, channels, height, width] → mean squared error of the rebuilt view, float32 [n]."""

    rows: Tensor
    columns: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int, int], *, sound: bool) -> None:
        super().__init__()
        channels, height, width = shape
        self.sound = sound
        rows = _means(height, min(height, _BANDS if sound else _CELLS))
        columns = _means(width, min(width, _CELLS)).T.contiguous()
        size = channels * len(rows) * (2 if sound else columns.shape[1])
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.encoder = nn.Sequential(nn.Linear(size, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _CODE))
        self.decoder = nn.Sequential(nn.Linear(_CODE, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, size))

    def view(self, x: Tensor) -> Tensor:
        """The coarse view, float32 [n, size], not normalised."""
        x = torch.matmul(self.rows, x)
        if not self.sound:
            return torch.matmul(x, self.columns).flatten(1)
        mean = x.mean(dim=3)
        spread = ((x - mean.unsqueeze(3)) ** 2).mean(dim=3)
        return torch.cat((mean, torch.sqrt(spread + 1e-6)), dim=2).flatten(1)

    def errors(self, view: Tensor) -> Tensor:
        """Mean squared error of normalised views, float32 [n]."""
        rebuilt: Tensor = self.decoder(self.encoder(view))
        return ((rebuilt - view) ** 2).mean(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.errors((self.view(x) - self.mean) * self.scale)


def fit_novelty(
    windows: Windows, chosen: NDArray[np.int64], *, sound: bool, epochs: int, seed: int
) -> Autoencoder:
    """An autoencoder trained on these windows, on the CPU."""
    torch.manual_seed(seed)
    model = Autoencoder(windows.shape, sound=sound)
    with torch.inference_mode():
        parts = [model.view(x.cpu()) for _, x in windows.batches(chosen, 256)]
    view = torch.cat(parts).clone()
    deviation = view.std(dim=0, correction=0)
    model.mean.copy_(view.mean(dim=0))
    # A cell that hardly varies in the training data must not outweigh all the others.
    model.scale.copy_(1 / torch.clamp(deviation, min=0.1 * float(deviation.mean()) + 1e-6))
    view = (view - model.mean) * model.scale
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
    random = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * (1 - epoch / epochs)
        order = torch.randperm(len(view), generator=random)
        for at in range(0, len(order), _BATCH):
            part = order[at : at + _BATCH]
            loss = model.errors(view[part]).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.eval()


def scores(model: Autoencoder, windows: Windows) -> NDArray[np.float32]:
    """The score of each window, float32 [n]."""
    with torch.inference_mode():
        parts = [model(x.cpu()).numpy() for _, x in windows.batches(np.arange(len(windows)), 256)]
    return np.concatenate(parts)


def threshold(found: NDArray[np.float32], percentile: float) -> float:
    """Where that percentile of the scores of items lies."""
    return float(np.percentile(found.astype(np.float64), percentile))


def _means(size: int, cells: int) -> Tensor:
    """float32 [cells, size]: each row averages its share of the positions, so that all positions count alike."""
    edges = torch.linspace(0, size, cells + 1)
    positions = torch.arange(size)
    covered = torch.minimum(edges[1:, None], positions + 1) - torch.maximum(edges[:-1, None], positions)
    overlap = covered.clamp(min=0)
    return overlap / overlap.sum(dim=1, keepdim=True)
