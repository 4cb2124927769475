from __future__ import annotations

import pytest
import torch

from services.train import export
from services.train.families import FAMILIES
from services.train.hyperparameters import Hyperparameters
from services.train.networks import build


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [("cnn", 1, (8, 8)), ("cnn", 3, (64, 48)), ("mel-cnn", 1, (64, 251)), ("resnet18", 1, (16, 16))],
)
def test_families_answer_with_logits_and_survive_the_export(
    name: str, channels: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    hyper = Hyperparameters(width=8)
    network = build(FAMILIES[name], channels=channels, classes=5, size=size, hyper=hyper).eval()
    x = torch.randn(3, channels, *size)
    assert network(x).shape == (3, 5)
    data = export.to_onnx(network, (channels, *size), "logits")
    assert export.check_export(network, data, x.numpy()) < 1e-4
