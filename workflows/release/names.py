"""Names that become paths, namespaces and trailers, checked before they are used as either."""

from __future__ import annotations

import re

from services.common.errors import InvalidInput

ENVIRONMENTS = ("staging", "canary", "production")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,199}")
_VERSION = re.compile(r"[1-9][0-9]{0,11}")


def check_name(name: str, what: str = "application") -> str:
    """The name itself when it can be part of a path and of a Kubernetes namespace.

    Raises:
        InvalidInput: anything but up to 40 lower-case letters, digits and inner hyphens.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"this is no name of an {what}",
            value=name,
            allowed="lower-case letters, digits and inner hyphens",
        )
    return name


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
