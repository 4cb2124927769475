"""A message: what happened, where, and the facts. Nothing in it can be a header, a control code or without end."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from services.common.errors import InvalidInput

# `alert` is what Alertmanager sends; the others come from the platform itself.
KINDS = ("gate", "promotion", "rollback", "drift", "failure", "decision", "labels", "alert")
MOST_SUBJECT, MOST_FACTS, MOST_VALUE = 300, 50, 4000
# Control characters, separators of lines and paragraphs, and those that turn the direction of text.
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_PLACE = r"^[a-z0-9-]{0,63}$"
_NAME = re.compile(r"[A-Za-z0-9_ .-]{1,64}")


def plain(text: str) -> str:
    """The text without what a terminal or a mail program would take for an order; lines stay."""
    return _UNSEEN.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).encode(errors="replace").decode()


def one_line(text: str) -> str:
    """The same in one line."""
    return " ".join(plain(text).split())


Line = Annotated[str, BeforeValidator(lambda value: one_line(value) if isinstance(value, str) else value)]


class Message(BaseModel):
    """What senders hand over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    application: str = Field("", pattern=_PLACE)
    environment: str = Field("", pattern=_PLACE)
    subject: Line = Field(min_length=1, max_length=MOST_SUBJECT)
    facts: dict[str, str] = Field(default_factory=dict, max_length=MOST_FACTS)

    @field_validator("kind")
    @classmethod
    def _kind(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(f"there is no such kind; allowed: {', '.join(KINDS)}")
        return value

    @field_validator("facts", mode="before")
    @classmethod
    def _facts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = {}
        for name, fact in value.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError("names of facts are up to 64 letters, digits, blanks and .-_")
            if isinstance(fact, (dict, list)):
                raise ValueError(f"the fact {name} is no text or number")
            text = plain("" if fact is None else str(fact))
            if len(text) > MOST_VALUE:
                raise ValueError(f"the fact {name} has {len(text)} characters; allowed: {MOST_VALUE}")
            found[name] = text
        return found

    @property
    def place(self) -> str:
        """Application and environment, for people."""
        return " ".join(filter(None, (self.application, self.environment)))


def parse_message(data: bytes) -> Message:
    """The message in the body of a request.

    Raises:
        InvalidInput: it is none; the sentence says which part.
    """
    try:
        return Message.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidInput(f"this is no message: `{name}`: {first['msg']}") from error
