"""The one rule for names that become paths, namespaces and tags."""

from __future__ import annotations

import re

from services.common.errors import InvalidInput

MOST_CHARACTERS = 40
_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MOST_CHARACTERS - 2}}}[a-z0-9])?")


def check_name(name: str, what: str = "application") -> str:
    """The name itself when it can be part of a path and, with an environment's name, of a Kubernetes namespace.

    Raises:
        InvalidInput: anything but up to 40 lower-case letters, digits and inner hyphens.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"this is no name of an {what}",
            value=name,
            allowed=f"lower-case letters, digits and inner hyphens, at most {MOST_CHARACTERS}",
        )
    return name
