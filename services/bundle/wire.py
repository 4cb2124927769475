"""A walk over Protocol Buffers bytes that copies nothing: fields as numbers and views.

Format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.common.errors import InvalidInput

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number with its integer, or the view of its bytes (strings, messages, packed and fixed values).

    Raises:
        InvalidInput: bytes that are not in this format.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _broken()
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _LEN:
            length, position = _varint(message, position)
        elif kind in (_I64, _I32):
            length = 8 if kind == _I64 else 4
        else:
            raise _broken()
        if length > end - position:
            raise _broken()
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _broken()
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise _broken()


def _broken() -> InvalidInput:
    return InvalidInput("the file is no whole ONNX model: its bytes are not in the Protocol Buffers format")
