"""The object store (S3 API) that `s3://` sources are in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.errors import InvalidInput, NotFound, TooLarge, Unavailable
from services.common.settings import Settings

if TYPE_CHECKING:
    from minio import Minio

GIB = 1 << 30
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MOST_OBJECTS = 2_000_000
_CONNECTIONS = 8
_AWAY = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "XMinioServerNotInitialized"}
)


class ObjectStoreSettings(Settings):
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


@dataclass(frozen=True)
class Location:
    """A bucket and a prefix (or key) without slashes at its ends."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Location:
        """From `s3://bucket/prefix`. Raises InvalidInput for anything else."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        if not url.startswith("s3://") or _BUCKET.fullmatch(bucket) is None or ".." in bucket:
            raise InvalidInput("no name of a bucket in the source", value=url, allowed="s3://bucket/prefix")
        if prefix and not safe_key(prefix):
            raise InvalidInput("no safe prefix in the source", value=url, allowed="names joined by /")
        return cls(bucket, prefix)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as listed; `size` in bytes."""

    key: str
    size: int
    etag: str


def safe_key(key: str) -> bool:
    """Whether a key can be a path below a folder: no empty, `.` or `..` part, no backslash, nothing unprintable."""
    if len(key.encode("utf-8", "replace")) > 1024 or not key.isprintable() or "\\" in key:
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in key.split("/"))


@contextmanager
def connect(settings: ObjectStoreSettings | None) -> Iterator[Minio]:
    """A client with bounded retries and waits, that follows no redirect.

    Raises:
        InvalidInput: no object store is configured.
    """
    if settings is None or not settings.endpoint:
        raise InvalidInput("no object store is configured", allowed="ROOKERY_S3_ENDPOINT=host:port")
    import urllib3
    from minio import Minio

    pool = urllib3.PoolManager(
        maxsize=_CONNECTIONS,
        timeout=urllib3.Timeout(connect=5, read=settings.timeout_seconds),
        retries=urllib3.Retry(
            total=3,
            redirect=0,
            backoff_factor=0.2,
            status_forcelist=[500, 502, 503, 504],
            raise_on_status=False,
        ),
    )
    try:
        client = Minio(
            settings.endpoint,
            access_key=settings.access_key.get_secret_value() or None,
            secret_key=settings.secret_key.get_secret_value() or None,
            region=settings.region,
            secure=settings.secure,
            http_client=pool,
        )
    except ValueError as error:
        raise InvalidInput(
            f"the object store's address: {error}", value=settings.endpoint, allowed="host:port"
        ) from error
    try:
        yield client
    finally:
        pool.clear()


def list_objects(client: Minio, location: Location) -> Iterator[StoredObject]:
    """The objects below the prefix.

    Raises:
        NotFound: no such bucket.
        InvalidInput: the keys are wrong or access is denied.
        Unavailable: the object store does not answer.
        TooLarge: more than two million objects.
    """
    prefix = location.prefix + "/" if location.prefix else ""
    with explained(location):
        for number, found in enumerate(client.list_objects(location.bucket, prefix=prefix, recursive=True)):
            if number >= _MOST_OBJECTS:
                raise TooLarge("too many objects in the source", value=number, allowed=str(_MOST_OBJECTS))
            if found.object_name and not found.object_name.endswith("/"):
                yield StoredObject(found.object_name, found.size or 0, (found.etag or "").strip('"'))


@contextmanager
def explained(location: Location) -> Iterator[None]:
    """Failures of the object store as errors that a user can act on."""
    import urllib3
    from minio.error import InvalidResponseError, S3Error, ServerError

    where = f"s3://{location.bucket}/{location.prefix}"
    try:
        yield
    except S3Error as error:
        if error.code in _AWAY:
            raise Unavailable(f"the object store cannot answer now: {error.code}", value=where) from error
        kind = NotFound if (error.code or "").startswith("NoSuch") else InvalidInput
        raise kind(f"the object store answers {error.code}: {error.message}", value=where) from error
    except (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError, OSError) as error:
        raise Unavailable(f"the object store does not answer: {type(error).__name__}", value=where) from error
    except ValueError as error:
        raise InvalidInput(f"the object store cannot be asked for this: {error}", value=where) from error
