"""Settings of everything that writes to git."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.settings import Settings


class GitSettings(Settings):
    """Read from the environment as ROOKERY_GIT_*."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_GIT_", extra="forbid", frozen=True)
    others = ("ROOKERY_GIT_REMOTE",)

    author_name: str = Field("Rookery", description="name of the author and committer of releases")
    author_email: str = Field(
        "rookery@localhost", description="address of the author and committer of releases"
    )
    branch: str = Field(
        "main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", description="branch that the environments follow"
    )
    username: str = Field(
        "",
        pattern=r"^[^\s\x00-\x1f]*$",
        description="who git says it is to an http(s) remote that asks; empty: nobody",
    )
    password: SecretStr = Field(SecretStr(""), description="the password of that user")
    timeout_seconds: float = Field(60, gt=0, description="bound of one git command")
    push_seconds: float = Field(
        120, gt=0, description="bound of all tries to push one commit while others push theirs"
    )
