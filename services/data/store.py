"""Data in an object store (S3 API), brought into a bounded cache on local disk."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB = 1 << 30


class ObjectStoreSettings(BaseSettings):
    """Where `s3://` sources are. The endpoint comes from here alone, never from a source."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_S3_", extra="forbid")

    endpoint: str = Field("", description="host:port of the object store; empty means that there is none")
    access_key: SecretStr = Field(SecretStr(""), description="access key")
    secret_key: SecretStr = Field(SecretStr(""), description="secret key")
    region: str = Field("us-east-1", description="region that requests are signed for")
    secure: bool = Field(True, description="whether to speak https")
    cache_bytes: int = Field(
        20 * GIB, gt=0, description="largest size of the local cache of objects, in bytes"
    )
    timeout_seconds: float = Field(30, gt=0, description="longest silence of the object store")
