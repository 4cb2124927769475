"""Names that become paths, namespaces and trailers, checked before they are used as either."""

from __future__ import annotations

import re

from services.common.errors import InvalidInput
from services.common.names import check_name

__all__ = ["ENVIRONMENTS", "check_name", "check_token", "check_version", "one_line"]

ENVIRONMENTS = ("staging", "canary", "production")

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,199}")
_VERSION = re.compile(r"[1-9][0-9]{0,11}")


def check_version(version: str) -> int:
    """A model version as a number.

    Raises:
        InvalidInput: anything but a positive whole number without sign, space or leading zero.
    """
    if not _VERSION.fullmatch(version):
        raise InvalidInput("a model version is a positive whole number", value=version)
    return int(version)


def check_token(text: str, what: str) -> str:
    """An identifier that may stand in a commit trailer: one line without spaces.

    Raises:
        InvalidInput: a character outside letters, digits and `._:@/+-`, or more than 200 of them.
    """
    if not _TOKEN.fullmatch(text):
        raise InvalidInput(
            f"this cannot be a {what}", value=text, allowed="letters, digits and ._:@/+- (at most 200)"
        )
    return text


def one_line(text: str, limit: int = 500) -> str:
    """Free text as one printable line, so that it can never begin a trailer of its own."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
