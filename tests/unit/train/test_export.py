from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from services.common.errors import IntegrityError
from services.train import export


def _linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()


def test_only_the_first_size_varies_and_nothing_is_outside_the_file() -> None:
    graph = onnx.load_model_from_string(export.to_onnx(_linear(), (1, 3, 4), "logits")).graph
    sizes = [dim.dim_param or dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["N", 1, 3, 4]
    assert not any(tensor.external_data for tensor in graph.initializer)


def test_a_file_that_answers_otherwise_is_refused() -> None:
    inputs = np.ones((5, 1, 3, 4), np.float32)
    data = export.to_onnx(_linear(), (1, 3, 4), "logits")
    other = _linear()
    with torch.no_grad():
        other[1].bias += 0.01  # type: ignore[operator]
    assert export.check_export(_linear(), data, inputs) < 1e-5
    with pytest.raises(IntegrityError, match="answers unlike the trained model"):
        export.check_export(other, data, inputs)
