"""The values of parsed expressions. Values of different kinds are unequal, and cannot be ordered or added."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from workflows.local.nodes import plain

Value = Any


def _as_int(value: Value) -> int:
    return int(float(value)) if isinstance(value, float) else int(value)


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "asInt": _as_int,
    "int": _as_int,
    "asFloat": float,
    "float": float,
    "string": plain,
    "len": len,
    "toJson": lambda value: json.dumps(value, separators=(",", ":")),
}

_COMPARE: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def evaluate(node: tuple[Any, ...], lookup: Callable[[str], Value]) -> Value:
    """The value of a parsed expression; TypeError, ValueError and the like where it has none."""
    kind = node[0]
    if kind == "value":
        return node[1]
    if kind == "path":
        return lookup(node[1])
    if kind == "list":
        return [evaluate(item, lookup) for item in node[1]]
    if kind == "not":
        return not _boolean(evaluate(node[1], lookup))
    if kind == "choose":
        return evaluate(node[2] if _boolean(evaluate(node[1], lookup)) else node[3], lookup)
    if kind == "call":
        return FUNCTIONS[node[1]](*(evaluate(item, lookup) for item in node[2]))
    return _binary(node[1], node[2], node[3], lookup)


def _boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not true or false")
    return value


def _binary(
    operator: str, first: tuple[Any, ...], second: tuple[Any, ...], lookup: Callable[[str], Value]
) -> Value:
    left = evaluate(first, lookup)
    if operator == "&&":
        return _boolean(left) and _boolean(evaluate(second, lookup))
    if operator == "||":
        return _boolean(left) or _boolean(evaluate(second, lookup))
    if operator == "??":
        return left if left is not None else evaluate(second, lookup)
    right = evaluate(second, lookup)
    if operator in ("==", "!="):
        same = isinstance(left, bool) == isinstance(right, bool) and left == right
        return same if operator == "==" else not same
    if operator in _COMPARE:
        if (
            isinstance(left, str) != isinstance(right, str)
            or isinstance(left, bool)
            or isinstance(right, bool)
        ):
            raise TypeError(f"{left!r} {operator} {right!r} compares different kinds of values")
        return _COMPARE[operator](left, right)
    if operator in ("in", "not in"):
        return (left in right) == (operator == "in")
    if operator in ("=~", "!~", "matches"):
        return (re.search(right, left) is not None) == (operator != "!~")
    if operator == "contains":
        return right in left
    if operator == "startsWith":
        return bool(left.startswith(right))
    if operator == "endsWith":
        return bool(left.endswith(right))
    if isinstance(left, str) != isinstance(right, str):
        raise TypeError(f"{left!r} + {right!r} adds different kinds of values")
    return left + right
