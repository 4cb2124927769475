"""Settings of MLflow's server: the driver is chosen, and secrets stay out of arguments and messages."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.tracking.server import command, environment
from services.tracking.settings import TrackingSettings

GIVEN = {
    "database_uri": "postgresql://u:hidden-word@db:5432/mlflow",
    "s3_endpoint": "http://minio.rookery.svc:9000",
    "s3_access_key": "hidden-key",
    "s3_secret_key": "hidden-secret",
}


def test_secrets_are_in_the_environment_alone() -> None:
    settings = TrackingSettings.read(**GIVEN)
    assert "hidden" not in " ".join(command(settings)) + repr(settings)
    made = environment(settings, {"PATH": "/bin", "ROOKERY_TRACKING_DATABASE_URI": "x"})
    assert made["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://u:hidden-word@db:5432/mlflow"
    assert made["MLFLOW_S3_ENDPOINT_URL"] == "http://minio.rookery.svc:9000"
    assert made["PATH"] == "/bin" and "ROOKERY_TRACKING_DATABASE_URI" not in made


@pytest.mark.parametrize("uri", ["hidden-word", "sqlite:///hidden-word", "postgresql://"])
def test_another_database_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(InvalidInput, match="postgresql://user") as caught:
        TrackingSettings.read(**{**GIVEN, "database_uri": uri})
    assert "hidden" not in str(caught.value)
