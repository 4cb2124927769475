"""Errors that a user can act on: what was wrong, the bad value, and what is allowed.

Each class has a stable `code`, listed in docs/reference/errors.md and held against this module by a test, and
the HTTP status that the services answer with.
"""

from __future__ import annotations

from typing import Any, ClassVar

_SHOWN = 200


class RookeryError(Exception):
    """Base of every error that is the user's or the environment's, not a bug.

    Args:
        message: one sentence that says what was wrong.
        value: the offending value; shown shortened.
        allowed: what is allowed or likely meant.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, value: object = None, allowed: str | None = None) -> None:
        self.message = message
        self.value = value
        self.allowed = allowed
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.message
        if self.value is not None:
            text += f" (got {_shorten(self.value)})"
        if self.allowed is not None:
            text += f"; allowed: {self.allowed}"
        return text

    def as_dict(self) -> dict[str, Any]:
        """The body that the HTTP services answer with, flat so that a workflow can read it."""
        value = None if self.value is None else _shorten(self.value)
        return {"error": self.code, "message": self.message, "value": value, "allowed": self.allowed}

    def answer(self) -> tuple[int, dict[str, Any]]:
        """HTTP status and body."""
        return self.status, self.as_dict()


class InvalidInput(RookeryError):
    """A parameter, setting or file that does not mean what it should."""

    code = "invalid-input"
    status = 422


class NotFound(RookeryError):
    """A name that leads to nothing."""

    code = "not-found"
    status = 404


class Conflict(RookeryError):
    """The state has moved on, so the request no longer fits it."""

    code = "conflict"
    status = 409


class TooLarge(RookeryError):
    """Bytes, frames, pixels or seconds over a stated bound."""

    code = "too-large"
    status = 413


class UnsupportedMedia(RookeryError):
    """Bytes that are no sound or picture that can be read."""

    code = "unsupported-media"
    status = 415


class Unavailable(RookeryError):
    """A service or a resource that is away or full for now; trying again later may work."""

    code = "unavailable"
    status = 503
    retry_after_seconds = 2


class Refused(RookeryError):
    """A gate, policy or check said no. A refusal is a result, recorded with its reasons."""

    code = "refused"
    status = 409


class IntegrityError(RookeryError):
    """Bytes whose digest is not the one that was promised."""

    code = "integrity"
    status = 409


class DatasetError(RookeryError):
    """A dataset that cannot be trained on."""

    code = "dataset"
    status = 422


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
