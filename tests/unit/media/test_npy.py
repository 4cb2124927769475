from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.common.errors import UnsupportedMedia
from services.media.npy import parse_npy
from tests.support.media import npy


@given(
    hnp.arrays(st.sampled_from([np.uint8, np.float32, np.int16]), hnp.array_shapes(max_dims=4, max_side=5))
)
def test_arrays_come_back_equal(array: np.ndarray) -> None:
    back = parse_npy(npy(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_columns_first_order_comes_back_equal() -> None:
    array = np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    np.testing.assert_array_equal(parse_npy(npy(array)), array)


def test_objects_are_refused_and_never_unpickled() -> None:
    with pytest.raises(UnsupportedMedia, match="another kind"):
        parse_npy(npy(np.array([{"a": 1}], dtype=object)))


def test_a_shape_beyond_the_bytes_is_refused() -> None:
    data = npy(np.zeros((10, 10), np.uint8)).replace(b"(10, 10)", b"(10, 99)")
    with pytest.raises(UnsupportedMedia, match="do not hold"):
        parse_npy(data)


@given(st.binary(max_size=200))
def test_any_header_ends_in_an_array_or_a_refusal(rest: bytes) -> None:
    for start in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):
        try:
            parse_npy(start + rest)
        except UnsupportedMedia as error:
            assert str(error)
