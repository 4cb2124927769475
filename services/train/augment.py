"""Random changes of a batch that keep its meaning. All take and give float32 [n, channels, height, width]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from services.train.hyperparameters import Hyperparameters

_TURN = 0.35
_STRETCH = 0.2
_SHIFT = 0.16
_BRIGHTNESS = 0.3
_GAIN_DB_SHARE = 0.3


def augment(x: Tensor, hyper: Hyperparameters, random: torch.Generator, *, sound: bool) -> Tensor:
    """The batch as it is shown to the network in training; inputs are normalised."""
    if hyper.augmentation > 0:
        x = _sound(x, hyper.augmentation, random) if sound else _picture(x, hyper.augmentation, random)
    if sound:
        return spec_augment(x, hyper.specaugment, random)
    return _mirror(x, random) if hyper.horizontal_flip else x


def mixup(x: Tensor, y: Tensor, share: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each input blended with another of the batch, `share` of itself, and its target likewise.

    Source: Zhang et al., mixup: beyond empirical risk minimization, 2018.
    """
    other = torch.randperm(len(x), generator=random).to(x.device)
    return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]


def spec_augment(x: Tensor, masks: int, random: torch.Generator) -> Tensor:
    """Bands of mel and time replaced by the mean, each up to an eighth of the size.

    Source: Park et al., SpecAugment, 2019.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        positions = torch.arange(size).view(1, size)
        for _ in range(masks):
            width = torch.rand(len(x), 1, generator=random) * size / 8
            start = torch.rand(len(x), 1, generator=random) * (size - width)
            hidden = (positions >= start) & (positions < start + width)
            shape = (len(x), 1, size, 1) if axis == 2 else (len(x), 1, 1, size)
            x = x.masked_fill(hidden.view(shape).to(x.device), 0.0)
    return x


def _picture(x: Tensor, strength: float, random: torch.Generator) -> Tensor:
    n = len(x)
    turn, stretch_x, stretch_y, shift_x, shift_y, light = (
        (torch.rand(n, generator=random) * 2 - 1) * strength for _ in range(6)
    )
    angle = turn * _TURN
    cos, sin = torch.cos(angle), torch.sin(angle)
    scale_x, scale_y = 1 + stretch_x * _STRETCH, 1 + stretch_y * _STRETCH
    rows = (cos * scale_x, -sin * scale_y, shift_x * _SHIFT, sin * scale_x, cos * scale_y, shift_y * _SHIFT)
    matrix = torch.stack(rows, dim=1).view(n, 2, 3).to(x.device)
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    moved = functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved * (1 + light.to(x.device) * _BRIGHTNESS).view(n, 1, 1, 1)


def _mirror(x: Tensor, random: torch.Generator) -> Tensor:
    chosen = (torch.rand(len(x), generator=random) < 0.5).to(x.device)
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(3), x)


def _sound(x: Tensor, strength: float, random: torch.Generator) -> Tensor:
    n, _, _, frames = x.shape
    shift = (torch.rand(n, generator=random) * frames * strength).long()
    order = (torch.arange(frames).view(1, frames) + shift.view(n, 1)) % frames
    index = order.view(n, 1, 1, frames).expand(-1, x.shape[1], x.shape[2], -1).to(x.device)
    gain = (torch.rand(n, generator=random) * 2 - 1) * strength * _GAIN_DB_SHARE
    noise = torch.randn(x.shape, generator=random) * (0.15 * strength)
    return x.gather(3, index) + gain.view(n, 1, 1, 1).to(x.device) + noise.to(x.device)
