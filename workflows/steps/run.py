"""Calls one step in its container: `python -m workflows.steps.run workflows.steps.MODULE:FUNCTION OUTPUTS FILE`.

FILE holds the inputs as Argo writes them, a JSON list of name and value; the input `run-id` is the parameter `run_id`.
What the function returns is written to OUTPUTS, one file for each output. Hera's own runner does the same, but imports
all of Hera, which takes longer than most steps work.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workflows.steps.outcome import REFUSED_EXIT_CODE, Output

_ENTRY = re.compile(r"(workflows\.steps(?:\.\w+)+):(\w+)")


def interface(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The names of a step's inputs and outputs, as a template has them.

    Raises:
        TypeError: a parameter is no text, or a returned value has no `Output`.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    names = list(inspect.signature(function).parameters)
    for name in names:
        if hints.get(name) is not str:
            raise TypeError(f"{function.__name__}: the parameter {name} of a step must be a str")
    return [name.replace("_", "-") for name in names], _outputs(function, hints.get("return"))


def call(function: Callable[..., Any], inputs: Path, outputs: Path) -> None:
    """Call a step with the inputs of a file, and write its outputs to a folder."""
    wanted, promised = interface(function)
    given = {
        item["name"]: str(item.get("value", "")) for item in json.loads(inputs.read_text(encoding="utf-8"))
    }
    result = function(**{name.replace("-", "_"): given[name] for name in wanted})
    values = result if isinstance(result, tuple) else (result,) if promised else ()
    outputs.mkdir(parents=True, exist_ok=True)
    for name, value in zip(promised, values, strict=True):
        (outputs / name).write_text(str(value), encoding="utf-8")


def main() -> None:
    """The command line."""
    arguments = sys.argv[1:]
    found = _ENTRY.fullmatch(arguments[0]) if len(arguments) == 3 else None
    if found is None:
        sys.stderr.write(
            "usage: python -m workflows.steps.run workflows.steps.MODULE:FUNCTION OUTPUTS FILE\n"
        )
        sys.exit(REFUSED_EXIT_CODE)
    function = getattr(importlib.import_module(found[1]), found[2])
    call(function, Path(arguments[2]), Path(arguments[1]))


def _outputs(function: Callable[..., Any], hint: Any) -> list[str]:
    if hint in (None, type(None)):
        return []
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else (hint,)
    names = []
    for part in parts:
        marks = [mark for mark in getattr(part, "__metadata__", ()) if isinstance(mark, Output)]
        if not marks:
            raise TypeError(f"{function.__name__}: what a step returns must be Annotated[str, Output(...)]")
        names.append(marks[0].name)
    return names


if __name__ == "__main__":
    main()
