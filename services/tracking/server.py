"""How MLflow itself is started: its arguments, and its environment, which alone holds the secrets.

Source: MLflow 3 documentation, `mlflow server` and environment variables; uvicorn documentation, settings.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from services.tracking.settings import TrackingSettings


def command(settings: TrackingSettings) -> list[str]:
    """The argument list of the server; nothing in it is secret."""
    bounds = (
        f"--limit-concurrency {settings.concurrency} --timeout-keep-alive 30 --timeout-graceful-shutdown 20"
    )
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", settings.host, "--port", str(settings.port), "--workers", str(settings.workers)),
        *("--serve-artifacts", "--artifacts-destination", f"s3://{settings.bucket}"),
        *("--allowed-hosts", settings.allowed_hosts),
        *("--uvicorn-opts", bounds),
    ]


def environment(settings: TrackingSettings, own: Mapping[str, str]) -> dict[str, str]:
    """What the server's process finds in its environment, over what it inherits."""
    inherited = {name: value for name, value in own.items() if not name.startswith("ROOKERY_TRACKING_")}
    return {
        **inherited,
        "MLFLOW_BACKEND_STORE_URI": settings.database_uri.get_secret_value(),
        "MLFLOW_S3_ENDPOINT_URL": str(settings.s3_endpoint).rstrip("/"),
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(settings.connections),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "0",
        "MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE": "1800",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
        # libpq's own variables, which hold for every connection.
        "PGCONNECT_TIMEOUT": "5",
        "PGOPTIONS": "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000",
        "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": settings.s3_region,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Stores with the S3 API that are not Amazon's may know no trailing checksums.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
