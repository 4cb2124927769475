"""The classifier and the autoencoder as one graph: an input crosses into ONNX Runtime once, not twice."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper
from onnx.compose import add_prefix
from onnx.version_converter import convert_version

from services.common.errors import InvalidInput

_PREFIX = "novelty/"


def fuse(model: bytes, novelty: bytes, *, multi_label: bool, temperature: float) -> bytes:
    """One model with input `input` and outputs `logits`, `probabilities` and `score`.

    Args:
        model: ONNX with `input` float32 [N, C, H, W] and `logits` float32 [N, classes].
        novelty: ONNX with the same `input` and `score` float32 [N].
        multi_label: sigmoid over the logits, else softmax.
        temperature: logits are divided by it first.

    Raises:
        InvalidInput: the names are not these, or the two cannot be brought to one operator set.
    """
    first, second = _parse(model, "model.onnx", "logits"), _parse(novelty, "novelty.onnx", "score")
    first, second = _same_opsets(first, second)
    second = add_prefix(second, _PREFIX, rename_inputs=False, rename_outputs=False)
    graph = first.graph
    graph.node.extend(second.graph.node)
    graph.initializer.extend(second.graph.initializer)
    graph.sparse_initializer.extend(second.graph.sparse_initializer)
    graph.value_info.extend(second.graph.value_info)
    graph.output.extend(second.graph.output)
    first.functions.extend(second.functions)
    first.ir_version = max(first.ir_version, second.ir_version)

    graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [temperature]))
    graph.node.append(helper.make_node("Div", ["logits", "temperature"], ["tempered"]))
    squash = (
        helper.make_node("Sigmoid", ["tempered"], ["probabilities"])
        if multi_label
        else helper.make_node("Softmax", ["tempered"], ["probabilities"], axis=-1)
    )
    graph.node.append(squash)
    del graph.output[:]
    for name, dims in (("logits", ["N", None]), ("probabilities", ["N", None]), ("score", ["N"])):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
    return bytes(first.SerializeToString())


def _parse(data: bytes, name: str, output: str) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:
        raise InvalidInput(f"{name} is not an ONNX model: {error}") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    outputs = [value.name for value in model.graph.output]
    if inputs != ["input"] or outputs != [output]:
        raise InvalidInput(
            f"{name} has other inputs or outputs",
            value={"inputs": inputs, "outputs": outputs},
            allowed=f"input `input` and output `{output}`",
        )
    return model


def _same_opsets(first: onnx.ModelProto, second: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    target = max(_opset(first), _opset(second))
    try:
        first = first if _opset(first) == target else convert_version(first, target)
        second = second if _opset(second) == target else convert_version(second, target)
    except Exception as error:
        raise InvalidInput(f"the two models cannot be brought to operator set {target}: {error}") from error
    have = {entry.domain for entry in first.opset_import}
    first.opset_import.extend(entry for entry in second.opset_import if entry.domain not in have)
    return first, second


def _opset(model: onnx.ModelProto) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
