from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision.models
from torch import nn

from services.common.digest import digest_file
from services.common.errors import InvalidInput, NotFound, TooLarge
from services.data.store import ObjectStoreSettings
from services.train.families import FAMILIES
from services.train.hyperparameters import Hyperparameters
from services.train.networks import build
from services.train.pretrained import load_pretrained


def _network() -> nn.Module:
    return build(FAMILIES["mel-resnet18"], channels=1, classes=4, size=(64, 64), hyper=Hyperparameters())


def _load(network: nn.Module, path: Path, roots: list[Path] | None = None, max_mib: int = 100) -> str:
    return load_pretrained(network, str(path), roots=roots, store=ObjectStoreSettings(), max_mib=max_mib)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    state = torchvision.models.resnet18(weights=None).state_dict()
    folder = tmp_path_factory.mktemp("weights")
    torch.save(state, folder / "resnet18.pt")
    safetensors.torch.save_file(state, folder / "resnet18.safetensors")
    return folder


@pytest.mark.parametrize("name", ["resnet18.pt", "resnet18.safetensors"])
def test_weights_are_taken_but_for_the_last_layer(weights: Path, name: str) -> None:
    network = _network()
    fresh = network.state_dict()["fc.1.weight"].clone()
    assert _load(network, weights / name, [weights]) == digest_file(weights / name)
    given = torch.load(weights / "resnet18.pt", weights_only=True)
    found = network.state_dict()
    assert torch.equal(found["layer4.1.conv2.weight"], given["layer4.1.conv2.weight"])
    assert torch.allclose(found["conv1.weight"], given["conv1.weight"].sum(dim=1, keepdim=True), atol=1e-5)
    assert torch.equal(found["fc.1.weight"], fresh)


def test_files_that_are_no_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (marker,)

    torch.save({"layer": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "text.safetensors").write_text("weights")
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pt")
    for name in ("evil.pt", "text.pt", "text.safetensors", "other.pt"):
        with pytest.raises(InvalidInput, match="pretrained weights"):
            _load(_network(), tmp_path / name)
    assert not marker.exists()


def test_addresses_and_sizes_are_bounded(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="outside the folders"):
        _load(_network(), weights / "resnet18.pt", [tmp_path])
    with pytest.raises(InvalidInput, match="outside the folders"):
        _load(_network(), tmp_path / ".." / "x.pt", [tmp_path])
    with pytest.raises(InvalidInput, match="no such file"):
        _load(_network(), weights / "resnet18.onnx")
    with pytest.raises(TooLarge, match="too large"):
        _load(_network(), weights / "resnet18.pt", max_mib=1)
    os.mkfifo(tmp_path / "pipe.pt")
    for path in (weights / "missing.pt", tmp_path / "pipe.pt"):
        with pytest.raises(NotFound, match="cannot be read"):
            _load(_network(), path)
    with pytest.raises(InvalidInput, match="no object store is configured"):
        load_pretrained(
            _network(), "s3://weights/a.pt", roots=None, store=ObjectStoreSettings(endpoint=""), max_mib=1
        )
