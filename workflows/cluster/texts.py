"""Parameter values as Argo's own client sends them: the schema of its resources allows text alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_VALUES = ("value", "default")


def with_texts(item: Any) -> Any:
    """The same object with the numbers and booleans of all its parameters as text, such as `7` and `true`."""
    if isinstance(item, list):
        return [with_texts(one) for one in item]
    if not isinstance(item, Mapping):
        return item
    made = {key: with_texts(one) for key, one in item.items()}
    if isinstance(parameters := made.get("parameters"), list):
        made["parameters"] = [_text(one) if isinstance(one, Mapping) else one for one in parameters]
    return made


def _text(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: json.dumps(value) if key in _VALUES and isinstance(value, (bool, int, float)) else value
        for key, value in parameter.items()
    }
