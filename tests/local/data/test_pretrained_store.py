"""Pretrained weights from a real object store, told apart from one that refuses or is away."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import torch
import torchvision.models
from pydantic import SecretStr

from services.common.digest import digest_bytes
from services.common.errors import InvalidInput, NotFound, TooLarge, Unavailable
from services.data.store import ObjectStoreSettings
from services.train.families import FAMILIES
from services.train.hyperparameters import Hyperparameters
from services.train.networks import build
from services.train.pretrained import load_pretrained
from tests.support.servers import free_port

if TYPE_CHECKING:
    from tests.local.data.conftest import Store


def _load(source: str, store: ObjectStoreSettings, max_mib: int = 100) -> str:
    network = build(FAMILIES["resnet18"], channels=3, classes=4, size=(64, 64), hyper=Hyperparameters())
    return load_pretrained(network, source, roots=[], store=store, max_mib=max_mib)


def test_weights_come_from_the_store_and_each_failure_has_its_name(minio_store: Store) -> None:
    bucket, file = minio_store.bucket(), io.BytesIO()
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), file)
    data = file.getvalue()
    minio_store.client.put_object(bucket, "weights/resnet18.pt", io.BytesIO(data), len(data))
    source = f"s3://{bucket}/weights/resnet18.pt"
    settings = minio_store.settings
    assert _load(source, settings) == digest_bytes(data)
    with pytest.raises(TooLarge, match="too large"):
        _load(source, settings, max_mib=1)
    with pytest.raises(NotFound, match="NoSuchKey"):
        _load(f"s3://{bucket}/weights/other.pt", settings)
    denied = settings.model_copy(update={"secret_key": SecretStr("another one")})
    with pytest.raises(InvalidInput, match="SignatureDoesNotMatch"):
        _load(source, denied)
    with pytest.raises(Unavailable, match="does not answer"):
        _load(source, settings.model_copy(update={"endpoint": f"127.0.0.1:{free_port()}"}))
