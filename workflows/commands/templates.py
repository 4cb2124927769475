"""The workflow templates that can be submitted, and the parameters given to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from services.common.errors import InvalidInput
from workflows.local.settings import REPOSITORY

RENDERED = REPOSITORY / "workflows" / "rendered"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def template_names(folder: Path = RENDERED) -> list[str]:
    """Names of the rendered templates; they are the names of their files."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def parse_parameters(given: Sequence[str], *, hyphens: bool = False) -> dict[str, str]:
    """`name=value` → dict; the value is taken as it is.

    Args:
        hyphens: underscores in names are written for hyphens, as hyperparameters have them.

    Raises:
        InvalidInput: no `=`, a name of other characters, or a name given twice.
    """
    parameters: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise InvalidInput("a parameter is given as name=value", value=item)
        name = name.replace("_", "-") if hyphens else name
        if name in parameters:
            raise InvalidInput(f"the parameter {name} is given twice", value=item)
        parameters[name] = value
    return parameters
