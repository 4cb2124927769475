"""NumPy's .npy format as a view of bytes in memory: nothing is allocated and nothing is unpickled.

Format: NEP 1 and `numpy.lib.format`.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from services.common.errors import UnsupportedMedia

_MAX_HEADER = 4096
_MAX_DIMENSIONS = 4


def parse_npy(data: bytes, *, kinds: str = "uif") -> np.ndarray[Any, Any]:
    """A read-only array over the bytes of a .npy file.

    Args:
        data: the whole file.
        kinds: NumPy's letters of the kinds of number that are allowed; objects are never.

    Raises:
        UnsupportedMedia: not a .npy file, another kind of number, or a shape that does not fit the bytes.
    """
    stream = io.BytesIO(data)
    try:
        version = npy_format.read_magic(stream)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran_order, dtype = read(stream, max_header_size=_MAX_HEADER)
    except Exception as error:
        raise UnsupportedMedia("the header of the .npy file cannot be read") from error
    if dtype.kind not in kinds or dtype.hasobject:
        raise UnsupportedMedia(
            "the .npy file holds another kind of values", value=str(dtype), allowed="numbers"
        )
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise UnsupportedMedia("the .npy file has an impossible shape", value=shape)
    held = len(data) - stream.tell()
    if math.prod(shape) * dtype.itemsize != held:
        raise UnsupportedMedia(f"the .npy file claims a shape that its {held} bytes do not hold", value=shape)
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")
