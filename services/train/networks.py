"""The networks: float32 [n, channels, height, width] in, logits [n, classes] out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from services.train.families import Family
from services.train.hyperparameters import Hyperparameters


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; halves height and width when `stride` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class SmallCnn(nn.Module):
    """A stem and three or more residual blocks, so many that some 4 × 4 positions are left; then mean and maximum."""

    def __init__(self, channels: int, classes: int, *, width: int, smallest: int, dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs, outputs, size = width, width, smallest
        for _ in range(5):
            if size < 8 and len(blocks) >= 2:
                break
            outputs = min(outputs * 2, width * 8)
            stride = 2 if size >= 8 else 1
            blocks.append(Residual(inputs, outputs, stride))
            inputs, size = outputs, size // stride
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2 if smallest >= 32 else 1, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


def build(
    family: Family, *, channels: int, classes: int, size: tuple[int, int], hyper: Hyperparameters
) -> nn.Module:
    """A network with fresh weights.

    Args:
        channels: of the input, 1 or 3.
        size: height and width of the input, pixels or mel bands and frames.
    """
    if family.architecture == "cnn":
        return SmallCnn(channels, classes, width=hyper.width, smallest=min(size), dropout=hyper.dropout)
    import torchvision.models

    maker = torchvision.models.resnet18 if family.architecture == "resnet18" else torchvision.models.resnet50
    network: Any = maker(weights=None)
    if channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    if min(size) < 64:
        # The stem's stride of 4 would leave almost nothing of a small picture.
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()
    network.fc = nn.Sequential(nn.Dropout(hyper.dropout), nn.Linear(network.fc.in_features, classes))
    assert isinstance(network, nn.Module)
    return network
