from __future__ import annotations

import numpy as np
import pytest
import torch

from services.train import loading
from services.train.loading import Windows


def test_mapped_and_resident_windows_give_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(23, 2, 3, 4)).astype(np.float32)
    order = np.random.default_rng(1).permutation(23)
    resident = Windows(values, [1.0, 2.0], [2.0, 3.0], torch.device("cpu"))
    monkeypatch.setattr(loading, "_RESIDENT_BYTES", 0)
    mapped = Windows(values, [1.0, 2.0], [2.0, 3.0], torch.device("cpu"))
    first, second = list(resident.batches(order, 4)), list(mapped.batches(order, 4))
    assert [len(part) for part, _ in first] == [4, 4, 4, 4, 4, 3]
    for (part, batch), (same_part, same) in zip(first, second, strict=True):
        assert np.array_equal(part, same_part)
        assert torch.allclose(batch, same)
    expected = (values[order[0]] - np.array([1.0, 2.0])[:, None, None]) / np.array([2.0, 3.0])[:, None, None]
    assert np.allclose(first[0][1][0].numpy(), expected, atol=1e-6)
