from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.version_converter import convert_version

from services.bundle.reader import Bundle
from services.common.errors import InvalidInput
from services.serve.fuse import fuse


def run(model: bytes, tensor: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"input": tensor}), strict=True))


def test_one_graph_answers_as_the_two_did(digits: Bundle) -> None:
    tensor = np.random.default_rng(0).normal(size=(5, 1, 16, 16)).astype(np.float32)
    both = run(fuse(digits.model, digits.novelty, multi_label=False, temperature=1.7), tensor)
    np.testing.assert_allclose(both["logits"], run(digits.model, tensor)["logits"], atol=1e-5)
    np.testing.assert_allclose(both["score"], run(digits.novelty, tensor)["score"], rtol=1e-5)
    np.testing.assert_allclose(both["probabilities"].sum(axis=1), 1, atol=1e-5)


def test_models_of_different_operator_sets_are_brought_together(digits: Bundle) -> None:
    newer = convert_version(onnx.load_model_from_string(digits.novelty), 18).SerializeToString()
    tensor = np.ones((2, 1, 16, 16), np.float32)
    both = run(fuse(digits.model, newer, multi_label=False, temperature=1.0), tensor)
    np.testing.assert_allclose(both["score"], run(digits.novelty, tensor)["score"], rtol=1e-5)


def test_equal_names_in_both_models_do_not_meet(digits: Bundle) -> None:
    again = onnx.load_model_from_string(digits.model)
    again.graph.output[0].name = "score"
    for node in again.graph.node:
        node.output[:] = ["score" if name == "logits" else name for name in node.output]
    tensor = np.ones((1, 1, 16, 16), np.float32)
    both = run(fuse(digits.model, again.SerializeToString(), multi_label=False, temperature=1.0), tensor)
    np.testing.assert_allclose(both["score"], both["logits"], atol=1e-6)


def test_other_outputs_are_refused(digits: Bundle) -> None:
    with pytest.raises(InvalidInput, match="allowed: input `input` and output `score`"):
        fuse(digits.model, digits.model, multi_label=False, temperature=1.0)
