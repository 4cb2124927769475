"""Settings of the MLflow server in the cluster, from environment variables ROOKERY_TRACKING_…"""

from __future__ import annotations

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.settings import Settings

_DRIVER = "postgresql+psycopg://"


class TrackingSettings(Settings):
    """Where MLflow keeps runs and artifacts, and how many may ask it at once."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_TRACKING_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 in the image")
    port: int = Field(8000, ge=1, le=65535, description="port to listen on")
    database_uri: SecretStr = Field(description="postgresql://user:password@host:port/database")
    bucket: str = Field(
        "mlflow",
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="bucket of the artifacts; made when it is missing",
    )
    s3_endpoint: HttpUrl = Field(description="object store (S3 API), such as http://minio.rookery.svc:9000")
    s3_access_key: SecretStr = Field(description="access key of the object store")
    s3_secret_key: SecretStr = Field(description="secret key of the object store")
    s3_region: str = Field("us-east-1", description="region that requests are signed for")
    workers: int = Field(2, ge=1, le=32, description="processes that answer requests")
    concurrency: int = Field(
        64,
        ge=1,
        le=10_000,
        description="requests that one process works on at once; one more is answered 503",
    )
    connections: int = Field(10, ge=1, le=100, description="connections to the database, for each process")
    allowed_hosts: str = Field(
        "localhost,localhost:*,127.0.0.1:*,10.*,172.*,192.168.*,mlflow,mlflow:*,mlflow.rookery.svc,"
        "mlflow.rookery.svc:*,mlflow.rookery.svc.cluster.local:*",
        description="Host headers that are answered, comma separated, with * as a wildcard",
    )
    wait_seconds: float = Field(
        120.0, gt=0, le=3600, description="how long database and object store may take to answer at the start"
    )

    @field_validator("database_uri")
    @classmethod
    def _with_driver(cls, uri: SecretStr) -> SecretStr:
        text = uri.get_secret_value()
        scheme, separator, rest = text.partition("://")
        if not separator or not rest or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
            # The value may hold a password, so it is not shown.
            raise ValueError("a database is given as postgresql://user:password@host:port/database")
        return SecretStr(_DRIVER + rest)
