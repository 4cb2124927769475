"""Where an image lies: references as text, and how a registry is spoken to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.digest import is_digest
from services.common.errors import InvalidInput
from services.common.settings import Settings

_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_LOOPBACK = {"127.0.0.1", "localhost"}


class RegistrySettings(Settings):
    """Read from the environment as ROOKERY_REGISTRY_*."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_REGISTRY_", extra="forbid", frozen=True)

    username: str = Field("", description="user of the image registry; empty: no login")
    password: SecretStr = Field(SecretStr(""), description="password or token of that user")
    base_username: str = Field(
        "", description="user of the registry of the serving base, when that is another one; empty: no login"
    )
    base_password: SecretStr = Field(SecretStr(""), description="password or token of that user")
    plain_http: str = Field(
        "registry.rookery.svc:5000",
        description="registries spoken to without TLS, host:port separated by commas; loopback always is",
    )
    chunk_bytes: int = Field(
        16 << 20,
        ge=1 << 16,
        description="bytes sent in one request; a lost one is sent again, not the whole layer",
    )
    timeout_seconds: float = Field(60, gt=0, description="bound of one request")

    def speaks_plain_http(self, host: str) -> bool:
        """Whether a registry, given as host or host:port, is spoken to without TLS."""
        known = {name.strip() for name in self.plain_http.split(",")}
        return host in known or host.partition(":")[0] in _LOOPBACK

    def of_base(self) -> RegistrySettings:
        """The settings for a serving base in another registry, which never sees the login of ours."""
        return self.model_copy(update={"username": self.base_username, "password": self.base_password})


@dataclass(frozen=True)
class Reference:
    """A place in a registry: scheme, host with port, repository, and a digest or tag where one is named."""

    scheme: str
    host: str
    repository: str
    version: str | None = None

    @property
    def name(self) -> str:
        return f"{self.host}/{self.repository}"


def parse_reference(text: str) -> Reference:
    """Read `[http://|https://]host[:port]/repository[:tag|@digest]`.

    Plain HTTP is spoken where the text or ROOKERY_REGISTRY_PLAIN_HTTP says so, and on loopback.

    Raises:
        InvalidInput: this is no reference.
    """
    scheme, rest = "", text
    for known in ("http", "https"):
        if text.startswith(f"{known}://"):
            scheme, rest = known, text.removeprefix(f"{known}://")
    host, _, path = rest.partition("/")
    path, _, version = path.partition("@")
    if not version and ":" in path:
        path, _, version = path.rpartition(":")
    if not _HOST.fullmatch(host) or not _REPOSITORY.fullmatch(path):
        raise InvalidInput("this is no image reference", value=text, allowed="host:port/repository[@digest]")
    if version and not (is_digest(version) or re.fullmatch(r"\w[\w.-]{0,127}", version)):
        raise InvalidInput("this is no digest or tag", value=version)
    if not scheme:
        scheme = "http" if RegistrySettings().speaks_plain_http(host) else "https"
    return Reference(scheme, host, path, version or None)
