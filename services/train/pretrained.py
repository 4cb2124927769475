"""Weights to start from, from a local file or S3: bounded in size, never unpickled beyond tensors, digest recorded."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from services.common.digest import digest_bytes
from services.common.errors import InvalidInput, NotFound, TooLarge
from services.data.store import Location, ObjectStoreSettings, connect, explained
from services.train.pretrained_source import check_pretrained

_MIB = 1 << 20


def load_pretrained(
    network: nn.Module,
    source: str,
    *,
    roots: Sequence[Path] | None,
    store: ObjectStoreSettings,
    max_mib: int,
) -> str:
    """Put the weights whose names and shapes fit into the network; the last layer stays fresh where classes differ.

    Returns:
        The digest of the file.

    Raises:
        InvalidInput: it is no such file, lies outside the roots, or hardly any weight fits; or no object store is set.
        NotFound, TooLarge, Unavailable: it is not there, too large, or the object store is away.
    """
    check_pretrained(source, roots)
    limit = max_mib * _MIB
    data = (
        _from_store(source, store, limit) if source.startswith("s3://") else _from_disk(Path(source), limit)
    )
    weights = _parse(data, source)
    own = network.state_dict()
    if "conv1.weight" in own and "conv1.weight" in weights:
        weights["conv1.weight"] = _fit_channels(weights["conv1.weight"], own["conv1.weight"].shape[1])
    fitting = {
        name: value for name, value in weights.items() if name in own and own[name].shape == value.shape
    }
    needed = sum(value.numel() for name, value in own.items() if not name.startswith(("fc.", "head.")))
    covered = sum(value.numel() for value in fitting.values())
    if covered < 0.9 * needed:
        raise InvalidInput(
            f"the pretrained weights do not fit this family: {covered} of {needed} values",
            value=source,
            allowed="a state dict of torchvision's network of the same name",
        )
    network.load_state_dict(fitting, strict=False)
    return digest_bytes(data)


def _from_disk(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise NotFound("the pretrained weights cannot be read: no such file", value=str(path))
        with path.open("rb") as file:
            return _at_most(file.read(limit + 1), str(path), limit)
    except OSError as error:
        raise NotFound(f"the pretrained weights cannot be read: {error.strerror}", value=str(path)) from error


def _from_store(source: str, store: ObjectStoreSettings, limit: int) -> bytes:
    location = Location.parse(source)
    with connect(store) as client, explained(location):
        answer = client.get_object(location.bucket, location.prefix)
        try:
            return _at_most(answer.read(limit + 1), source, limit)
        finally:
            answer.close()
            answer.release_conn()


def _parse(data: bytes, source: str) -> dict[str, Tensor]:
    try:
        if source.endswith(".safetensors"):
            from safetensors.torch import load

            found: Any = load(data)
        else:
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, KeyError) as error:
        raise InvalidInput(
            "the pretrained weights hold more than tensors or are damaged", value=source
        ) from error
    except Exception as error:
        # safetensors has an error class of its own that is not exported by its stubs.
        raise InvalidInput(f"the pretrained weights cannot be read: {error}", value=source) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InvalidInput("the pretrained weights are no state dict", value=source)
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def _fit_channels(weight: Tensor, channels: int) -> Tensor:
    """The first layer for another number of channels: the mean over the three colours keeps its response."""
    if weight.shape[1] == channels:
        return weight
    return weight.mean(dim=1, keepdim=True).repeat(1, channels, 1, 1) * (weight.shape[1] / channels)


def _at_most(data: bytes, source: str, limit: int) -> bytes:
    if len(data) > limit:
        raise TooLarge("the pretrained weights are too large", value=source, allowed=f"{limit} bytes")
    return data
