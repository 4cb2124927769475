"""Settings that every service has: where it listens, by which names it is asked, and what its callers must say."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from services.common.hosts import Hosts
from services.common.settings import Settings, is_local

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


def _host_name(text: str) -> str:
    name = text.strip().lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is no name of a host; a port does not belong to it")
    return name


class ListeningSettings(Settings):
    """Where a service listens."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0: any free one")
    hosts: list[Annotated[str, AfterValidator(_host_name)]] = Field(
        default_factory=list,
        description="names that requests may ask for in Host besides localhost, as JSON; none: where only this machine "
        "reaches the service and there is no token, localhost alone, elsewhere any",
    )

    def known_hosts(self) -> Hosts:
        """By which names the service is asked."""
        alone = is_local(self.host) and not self.has_token
        names = [*self.hosts, *self.own_names()] if alone or self.hosts else None
        return Hosts(names, addresses=not alone)

    def own_names(self) -> list[str]:
        """Names by which the service calls itself."""
        return []

    @property
    def has_token(self) -> bool:
        """Whether callers must know something."""
        return False


class ClosedSettings(ListeningSettings):
    """Where a service listens that wants a token beyond this machine."""

    token: SecretStr = Field(SecretStr(""), description="what callers must say; required beyond this machine")

    @property
    def has_token(self) -> bool:
        """Whether callers must know something."""
        return bool(self.token.get_secret_value())

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if not self.has_token and not is_local(self.host):
            name = f"{self.model_config.get('env_prefix', '')}TOKEN"
            raise ValueError(f"a token is required to listen on {self.host}: set {name}")
        return self
