from __future__ import annotations

from pathlib import Path

from services.observe.app import create_app
from services.observe.settings import ObserveSettings
from tests.support.asgi import serving
from tests.support.receivers import wait_until
from tests.support.release import make_remote


def settings(tmp_path: Path, remote: Path) -> ObserveSettings:
    return ObserveSettings(
        state_dir=tmp_path / "state",
        git_remote=str(remote),
        mlflow_url="http://127.0.0.1:9",
        read_seconds=0.1,
    )


def test_before_git_was_read_there_is_no_empty_list_of_targets(tmp_path: Path) -> None:
    with serving(create_app(settings(tmp_path, tmp_path / "none"))) as client:
        assert client.get("/targets").status_code == client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == client.get("/metrics").status_code == 200


def test_afterwards_there_is_one(tmp_path: Path) -> None:
    with serving(create_app(settings(tmp_path, make_remote(tmp_path)))) as client:
        wait_until("git", lambda: client.get("/readyz").status_code == 200)
        assert client.get("/targets").json() == []
        assert 'rookery_deployments_total{application="digits"} 0.0' in client.get("/metrics").text
