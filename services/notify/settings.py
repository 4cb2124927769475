"""Settings of the notify service, from environment variables ROOKERY_NOTIFY_…"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.common.listening import ClosedSettings
from services.notify.message import KINDS

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,255}")


class NotifySettings(ClosedSettings):
    """Who is told, by which ways, and how long a message is tried."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_NOTIFY_", extra="forbid", frozen=True)

    port: int = Field(9097, ge=0, le=65535, description="port to listen on; 0: any free one")
    token: SecretStr = Field(
        SecretStr(""), description="what senders and readers must say; required beyond this machine"
    )
    state_dir: Path = Field(Path(".rookery/notify"), description="folder of the outbox and of messages.log")
    templates: Path | None = Field(
        None, description="folder with templates of your own; a file in it replaces the one of the same name"
    )
    webhook_url: str = Field(
        "", description="http(s) address that each message is posted to as JSON; empty: none"
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="signs what is posted: X-Rookery-Signature: sha256=HMAC of the body"
    )
    webhook_kinds: list[str] = Field(list(KINDS), description="kinds of messages that the webhook is told")
    smtp_host: str = Field("", description="mail server; empty: no mail")
    smtp_port: int = Field(25, ge=1, le=65535, description="port of the mail server")
    smtp_starttls: bool = Field(
        False, description="begin TLS before anything is said, and check the certificate"
    )
    smtp_username: str = Field("", description="user at the mail server; empty: no login")
    smtp_password: SecretStr = Field(SecretStr(""), description="password of that user")
    mail_from: str = Field("rookery@localhost", description="address that mail comes from")
    mail_to: list[str] = Field(default_factory=list, description="addresses that mail goes to")
    mail_kinds: list[str] = Field(list(KINDS), description="kinds of messages that are mailed")
    most_waiting: int = Field(
        5000, ge=1, le=1_000_000, description="messages that may wait; one more is refused with 503"
    )
    keep_days: float = Field(30.0, gt=0, le=3650, description="messages are forgotten after this")
    give_up_hours: float = Field(
        72.0, gt=0, le=8760, description="a message that could not be delivered by then is given up"
    )
    retry_seconds: float = Field(
        1.0, gt=0, le=60, description="first pause before another try; doubles up to ten minutes"
    )
    send_seconds: float = Field(10.0, gt=0, le=120, description="bound of each wait for a receiver")

    @field_validator("webhook_kinds", "mail_kinds")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - set(KINDS):
            raise ValueError(f"no such kind: {sorted(unknown)[0]}; there are {', '.join(KINDS)}")
        return value

    @field_validator("mail_to", "mail_from")
    @classmethod
    def _addresses(cls, value: list[str] | str) -> list[str] | str:
        for address in [value] if isinstance(value, str) else value:
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is no mail address")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.webhook_url and not re.match(r"https?://[^/]", self.webhook_url):
            raise ValueError("webhook_url must begin with http:// or https://")
        if self.smtp_host and not self.mail_to:
            raise ValueError("smtp_host is given and mail_to is empty: nobody would get mail")
        return self
