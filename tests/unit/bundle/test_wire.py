from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import StringStringEntryProto, TensorProto

from services.bundle.wire import fields
from services.common.errors import InvalidInput


def test_fields_are_those_that_protobuf_wrote() -> None:
    tensor = TensorProto(name="weights", dims=[3, 300], data_type=1, raw_data=b"1234")
    found = [(number, value if isinstance(value, int) else bytes(value)) for number, value in
             fields(memoryview(tensor.SerializeToString()))]  # fmt: skip
    assert (2, 1) in found
    assert (8, b"weights") in found
    assert (9, b"1234") in found


@given(st.text(), st.text())
def test_any_message_comes_back(key: str, value: str) -> None:
    message = StringStringEntryProto(key=key, value=value).SerializeToString()
    found = {number: bytes(content).decode() for number, content in fields(memoryview(message))}
    assert found.get(1, "") == key
    assert found.get(2, "") == value


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x08",
        b"\x08\xff",
        b"\x0b",
        b"\x0c",
        b"\x00\x01",
        b"\x0d\x01",
        b"\x08" + b"\xff" * 11,
    ],
)
def test_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="Protocol Buffers"):
        list(fields(memoryview(data)))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_fields_or_a_refusal(data: bytes) -> None:
    try:
        for number, _ in fields(memoryview(data)):
            assert number > 0
    except InvalidInput:
        pass
