"""From a torch module to one ONNX file, held against torch on the same inputs."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from services.common.errors import IntegrityError

OPSET = 18
MAX_DIFFERENCE = 1e-3


def to_onnx(module: nn.Module, shape: Sequence[int], output: str) -> bytes:
    """The ONNX file of a module with input `input` [N, *shape] and one output [N, …]; only N may vary.

    The exporter that traces is used: it writes plain single-file graphs and needs no further package.
    """
    module = module.cpu().float().eval()
    file = io.BytesIO()
    names = {"input": {0: "N"}, output: {0: "N"}}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, *shape),),
            file,  # type: ignore[arg-type]
            dynamo=False,
            input_names=["input"],
            output_names=[output],
            dynamic_axes=names,
            opset_version=OPSET,
        )
    return file.getvalue()


def run_onnx(data: bytes, inputs: NDArray[np.float32], batch: int = 64) -> NDArray[np.float32]:
    """The file's only output for inputs float32 [n, …], through ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"input": inputs[at : at + batch]})[0] for at in range(0, len(inputs), batch)]
    return np.concatenate(parts)


def check_export(module: nn.Module, data: bytes, inputs: NDArray[np.float32]) -> float:
    """The largest absolute difference of the outputs, torch against ONNX Runtime, alone and in batches.

    Raises:
        IntegrityError: it is above 1e-3.
    """
    with torch.inference_mode():
        expected = module.cpu().float().eval()(torch.from_numpy(inputs)).numpy()
    found = np.stack([run_onnx(data, inputs, batch=7), run_onnx(data, inputs, batch=1)])
    difference = float(np.abs(found - expected).max())
    if not difference <= MAX_DIFFERENCE:
        raise IntegrityError(
            "the ONNX file answers unlike the trained model",
            value=difference,
            allowed=f"at most {MAX_DIFFERENCE:g}",
        )
    return difference
