"""What must be there before MLflow starts: a database that answers, and the bucket of the artifacts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from services.common.errors import Unavailable
from services.tracking.settings import TrackingSettings

_PAUSE_SECONDS = 1.0
_CONNECT_SECONDS = 5


def wait_for_database(settings: TrackingSettings) -> None:
    """Return when the database answers a query.

    Raises:
        Unavailable: it did not in `wait_seconds`; the password is never in the message.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        settings.database_uri.get_secret_value(),
        connect_args={"connect_timeout": _CONNECT_SECONDS},
        poolclass=sqlalchemy.pool.NullPool,
        hide_parameters=True,
    )

    def ask() -> None:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

    where = engine.url.render_as_string(hide_password=True)
    _until(ask, sqlalchemy.exc.SQLAlchemyError, f"the database {where}", settings.wait_seconds)


def ensure_bucket(settings: TrackingSettings) -> bool:
    """Make the bucket when it is missing; returns whether it was.

    Raises:
        Unavailable: the object store does not answer in `wait_seconds`, or refuses.
    """
    import botocore.exceptions

    client = _client(settings)
    made = False

    def look() -> None:
        nonlocal made
        try:
            client.head_bucket(Bucket=settings.bucket)
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            made = _create(client, settings.bucket)

    known = (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)
    _until(look, known, f"the bucket {settings.bucket} at {settings.s3_endpoint}", settings.wait_seconds)
    return made


def _create(client: Any, bucket: str) -> bool:
    """Whether it was made now; another server may have been faster."""
    try:
        client.create_bucket(Bucket=bucket)
    except client.exceptions.BucketAlreadyOwnedByYou:
        return False
    return True


def _client(settings: TrackingSettings) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=str(settings.s3_endpoint),
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        region_name=settings.s3_region,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_CONNECT_SECONDS,
            retries={"max_attempts": 0},
            s3={"addressing_style": "path"},
        ),
    )


def _until(
    look: Callable[[], None],
    expected: type[Exception] | tuple[type[Exception], ...],
    what: str,
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            look()
            return
        except expected as error:
            last = " ".join(str(error).split())[:300]
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise Unavailable(f"{what} was not ready within {seconds:g} s: {last}") from None
        time.sleep(_PAUSE_SECONDS)
