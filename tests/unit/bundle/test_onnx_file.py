from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from services.bundle.onnx_file import OPSETS, check_onnx
from services.common.errors import InvalidInput, RookeryError, TooLarge
from tests.support.media import onnx_model, with_external_data


def test_a_good_model_is_summed_up() -> None:
    summary = check_onnx(onnx_model())
    assert (summary.inputs, summary.outputs, summary.opsets) == (["input"], ["logits"], {"": 20})
    assert (summary.ir_version, summary.nodes) == (10, 2)


@pytest.mark.parametrize("opset", OPSETS[""])
def test_the_runtime_knows_the_operator_sets_that_are_allowed(opset: int) -> None:
    relu = helper.make_node("Relu", ["input"], ["logits"])
    place = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("input", "logits")]
    graph = helper.make_graph([relu], "g", place[:1], place[1:])
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    ).SerializeToString()
    check_onnx(data)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert session.run(None, {"input": np.array([-1, 2], np.float32)})[0].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("domain", "opset"), [("", 12), ("", 99), ("", 0), ("com.example", 1), ("ai.onnx.ml", 99)]
)
def test_unknown_operator_sets_are_refused(domain: str, opset: int) -> None:
    with pytest.raises(InvalidInput, match="operator set"):
        check_onnx(onnx_model(domain=domain, opset=opset))


def _in_attribute(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="t", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def _in_subgraph(model: onnx.ModelProto) -> None:
    inner = onnx.GraphProto()
    inner.initializer.add(name="t", data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner))


def _in_function(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="t", data_location=TensorProto.EXTERNAL)
    model.functions.add(name="f").node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def _in_sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.data_location = TensorProto.EXTERNAL


def _in_training(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.name = "g"


def _location_only(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


@pytest.mark.parametrize(
    "edit", [with_external_data, _location_only, _in_attribute, _in_subgraph, _in_function, _in_sparse]
)
def test_external_data_is_refused_wherever_it_hides(edit: Any) -> None:
    with pytest.raises(InvalidInput, match="external data"):
        check_onnx(onnx_model(edit=edit))


def test_training_graphs_and_operators_that_read_files_are_refused() -> None:
    with pytest.raises(InvalidInput, match="training"):
        check_onnx(onnx_model(edit=_in_training))
    with pytest.raises(InvalidInput, match="reads files"):
        check_onnx(onnx_model(edit=lambda m: m.graph.node.append(helper.make_node("EPContext", [], ["x"]))))


def test_graphs_in_graphs_are_bounded() -> None:
    graph = onnx.GraphProto()
    for _ in range(20):
        outer = onnx.GraphProto()
        outer.node.append(helper.make_node("Loop", [], ["x"], body=graph))
        graph = outer
    with pytest.raises(InvalidInput, match="nested"):
        check_onnx(onnx_model(edit=lambda m: m.graph.node.extend(graph.node)))


def test_the_bound_of_bytes_holds() -> None:
    data = onnx_model()
    check_onnx(data, max_bytes=len(data))
    with pytest.raises(TooLarge):
        check_onnx(data, max_bytes=len(data) - 1)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1_000), st.binary(min_size=1, max_size=4))
def test_damage_ends_in_a_summary_or_a_refusal(place: int, damage: bytes) -> None:
    data = bytearray(onnx_model())
    place %= len(data)
    data[place : place + len(damage)] = damage
    try:
        check_onnx(bytes(data))
    except RookeryError as error:
        assert 400 <= error.status < 500
